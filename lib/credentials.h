/*
 * AWS credentials: found as the AWS SDKs find them (environment, profile,
 * web identity, container, EC2 instance metadata), refreshed before they
 * expire.
 * https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 */
#ifndef FLASHSALE_CREDENTIALS_H
#define FLASHSALE_CREDENTIALS_H

#include <stddef.h>

#include <ev.h>

#include "config.h"
#include "err.h"

struct credentials {
	char access_key_id[129];
	char secret_access_key[129];
	char session_token[4097]; /* "" for long-lived keys */
};

struct credential_provider;

/* ERR_BAD_INPUT, with the reason in why, for what can never work: half a key
 * pair, a profile that does not exist...  Borrows config. */
enum err credentials_new(struct credential_provider **, struct ev_loop *,
    const struct config *, const char *region, char *why,
    size_t why_size) MUST_CHECK;
void credentials_free(struct credential_provider *);

/*
 * The keys, as soon as there are any: at once (within the call) when they
 * are at hand and fresh, later when they have to be fetched.  NULL with the
 * reason in why when there are none.  Borrowed until fn returns.
 */
typedef void credentials_fn(
    const struct credentials *, const char *why, void *arg);
void credentials_get(struct credential_provider *, credentials_fn *, void *arg);

/* Whoever asked with this arg does not wait any longer. */
void credentials_cancel(struct credential_provider *, const void *arg);

/* SQS says they have expired: the next get fetches new ones. */
void credentials_expire(struct credential_provider *);

#endif
