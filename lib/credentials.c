#include "credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "credentials_profile.h"

struct credential_provider {
	struct credentials keys;
};

enum err
credentials_new(struct credential_provider **out, struct ev_loop *loop,
    const struct config *config, const char *region, char *why, size_t why_size)
{
	struct credential_provider *provider = calloc(1, sizeof(*provider));

	(void)loop;
	(void)region;
	(void)why;
	(void)why_size;
	if (provider == NULL)
		return ERR_NOMEM;
	snprintf(provider->keys.access_key_id,
	    sizeof(provider->keys.access_key_id), "%s",
	    config->aws_access_key_id);
	snprintf(provider->keys.secret_access_key,
	    sizeof(provider->keys.secret_access_key), "%s",
	    config->aws_secret_access_key);
	snprintf(provider->keys.session_token,
	    sizeof(provider->keys.session_token), "%s",
	    config->aws_session_token);
	*out = provider;
	return ERR_OK;
}

void
credentials_free(struct credential_provider *provider)
{
	free(provider);
}

void
credentials_get(
    struct credential_provider *provider, credentials_fn *fn, void *arg)
{
	fn(&provider->keys, NULL, arg);
}

void
credentials_cancel(struct credential_provider *provider, const void *arg)
{
	(void)provider;
	(void)arg;
}

void
credentials_expire(struct credential_provider *provider)
{
	(void)provider;
}
