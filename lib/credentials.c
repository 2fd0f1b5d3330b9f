/*
 * Which source the keys come from, and when they are fetched again: quietly
 * in the last quarter of an hour, with everybody waiting in the last ten
 * minutes.  How they are fetched is in credentials_fetch.c.
 */
#include "credentials.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "credentials_fetch.h"
#include "credentials_profile.h"
#include "log.h"

/* Seconds of life left, at which ... */
#define ADVISORY_REFRESH 900  /* ... one fetch begins, nobody waits */
#define MANDATORY_REFRESH 600 /* ... everybody waits for it */
#define PAUSE_AFTER_FAILURE 30
#define JUST_FETCHED 10 /* then "expired" means the keys before */

struct waiter {
	struct waiter *next;
	credentials_fn *fn;
	void *arg;
};

struct credential_provider {
	struct ev_loop *loop;
	struct profile profile;
	struct fetcher *fetcher; /* NULL: the keys are for good */
	enum fetch_source source;
	struct credentials keys;
	bool have_keys;
	time_t expires_at;
	time_t fetched_at, failed_at;
	bool fetching;
	struct waiter *waiters; /* newest first */
	double last_warning;
};

/* --- Asking and waiting --- */

static void
waiters_answer(struct credential_provider *provider, const char *why)
{
	struct waiter *waiter, *list = NULL;

	/* In the order they came. */
	while ((waiter = provider->waiters) != NULL) {
		provider->waiters = waiter->next;
		waiter->next = list;
		list = waiter;
	}
	while ((waiter = list) != NULL) {
		list = waiter->next;
		waiter->fn(
		    why == NULL ? &provider->keys : NULL, why, waiter->arg);
		free(waiter);
	}
}

/*
 * EC2 asks that keys it cannot renew in time be used on: its service may be
 * impaired while SQS still takes them.  Fifteen minutes and a bit more, so
 * that not all instances ask again at once.
 */
static void
extend_life(struct credential_provider *provider, time_t now)
{
	if (provider->expires_at - now > MANDATORY_REFRESH)
		return;
	provider->expires_at =
	    now + ADVISORY_REFRESH + 120 + (time_t)(provider->fetched_at % 480);
	log_warn("credentials: EC2 has no fresher keys; going on with those "
		 "it gave");
}

static void
on_fetched(const struct fetched *fetched, const char *why, void *arg)
{
	struct credential_provider *provider = arg;
	time_t now = time(NULL);

	provider->fetching = false;
	if (fetched != NULL) {
		provider->keys = fetched->keys;
		provider->expires_at = fetched->expires_at;
		provider->fetched_at = now;
		provider->have_keys = true;
		log_info("credentials: fetched new keys, good for %ld s",
		    (long)(fetched->expires_at - now));
	} else {
		provider->failed_at = now;
		if (log_rate_ok(&provider->last_warning))
			log_warn("credentials: %s", why);
	}
	if (provider->have_keys && provider->source == FETCH_METADATA)
		extend_life(provider, now);
	/* Keys that are still good are better than none. */
	if (provider->have_keys &&
	    (fetched != NULL || provider->expires_at > now))
		why = NULL;
	waiters_answer(provider, why);
}

static void
fetch(struct credential_provider *provider)
{
	if (provider->fetching)
		return;
	provider->fetching = true;
	fetcher_start(provider->fetcher, on_fetched, provider);
}

void
credentials_get(
    struct credential_provider *provider, credentials_fn *fn, void *arg)
{
	time_t now = time(NULL), left = provider->expires_at - now;
	bool paused = now - provider->failed_at < PAUSE_AFTER_FAILURE;
	struct waiter *waiter;

	if (provider->fetcher == NULL ||
	    (provider->have_keys &&
		(left > MANDATORY_REFRESH || (left > 0 && paused)))) {
		if (provider->fetcher != NULL && left < ADVISORY_REFRESH &&
		    !paused)
			fetch(provider);
		fn(&provider->keys, NULL, arg);
		return;
	}
	waiter = malloc(sizeof(*waiter));
	if (waiter == NULL) {
		fn(NULL, "out of memory", arg);
		return;
	}
	waiter->fn = fn;
	waiter->arg = arg;
	waiter->next = provider->waiters;
	provider->waiters = waiter;
	fetch(provider);
}

void
credentials_cancel(struct credential_provider *provider, const void *arg)
{
	struct waiter **link = &provider->waiters, *waiter;

	while ((waiter = *link) != NULL) {
		if (waiter->arg == arg) {
			*link = waiter->next;
			free(waiter);
		} else {
			link = &waiter->next;
		}
	}
}

void
credentials_expire(struct credential_provider *provider)
{
	if (time(NULL) - provider->fetched_at > JUST_FETCHED)
		provider->have_keys = false;
}

/* --- Choosing the source --- */

/* Keys for good.  Half a pair is a mistake, not a reason to look further. */
static enum err
use_static(struct credential_provider *provider, const char *id,
    const char *secret, const char *token, const char *where, char *why,
    size_t why_size)
{
	struct credentials *keys = &provider->keys;

	if (id[0] == '\0' || secret[0] == '\0') {
		snprintf(why, why_size,
		    "%s: the access key id and the secret access key must "
		    "both be set",
		    where);
		return ERR_BAD_INPUT;
	}
	if (strlen(id) >= sizeof(keys->access_key_id) ||
	    strlen(secret) >= sizeof(keys->secret_access_key) ||
	    strlen(token) >= sizeof(keys->session_token)) {
		snprintf(
		    why, why_size, "%s: a key or token is too long", where);
		return ERR_BAD_INPUT;
	}
	snprintf(keys->access_key_id, sizeof(keys->access_key_id), "%s", id);
	snprintf(keys->secret_access_key, sizeof(keys->secret_access_key), "%s",
	    secret);
	snprintf(keys->session_token, sizeof(keys->session_token), "%s", token);
	provider->have_keys = true;
	return ERR_OK;
}

static enum err
use_fetcher(struct credential_provider *provider, struct fetch_options options,
    char *why, size_t why_size)
{
	provider->source = options.source;
	return fetcher_new(
	    &provider->fetcher, provider->loop, &options, why, why_size);
}

static enum err
use_web_identity(struct credential_provider *provider,
    struct fetch_options options, char *why, size_t why_size)
{
	if (options.role_arn[0] == '\0') {
		snprintf(why, why_size,
		    "a web identity token file needs a role: set "
		    "AWS_ROLE_ARN");
		return ERR_BAD_INPUT;
	}
	options.source = FETCH_WEB_IDENTITY;
	return use_fetcher(provider, options, why, why_size);
}

/* ERR_NOT_FOUND: the profile says nothing of keys. */
static enum err
use_profile(struct credential_provider *provider, struct fetch_options options,
    char *why, size_t why_size)
{
	const struct profile *profile = &provider->profile;
	const char *cannot = NULL;

	options.role_arn = profile->role_arn;
	options.session_name = profile->role_session_name;
	options.token_file = profile->web_identity_token_file;
	if (options.token_file[0] != '\0')
		return use_web_identity(provider, options, why, why_size);
	if (profile->role_arn[0] != '\0')
		cannot = "assuming a role (role_arn)";
	else if (profile->access_key_id[0] != '\0' ||
		 profile->secret_access_key[0] != '\0')
		return use_static(provider, profile->access_key_id,
		    profile->secret_access_key, profile->session_token,
		    "AWS profile", why, why_size);
	else if (profile->credential_process[0] != '\0')
		cannot = "credential_process";
	else if (profile->sso)
		cannot = "single sign-on (sso_...)";
	if (cannot == NULL)
		return ERR_NOT_FOUND;
	snprintf(why, why_size,
	    "the AWS profile uses %s, which is not supported: export keys "
	    "with \"aws configure export-credentials --format env\"",
	    cannot);
	return ERR_BAD_INPUT;
}

/* A server on http is a local one: no instance metadata will help there. */
static bool
endpoint_is_local(const struct config *config)
{
	const char *url = config->aws_endpoint_url_sqs;

	if (url[0] == '\0')
		url = config->aws_endpoint_url;
	if (url[0] == '\0')
		url = config->sqs_queue_url;
	return strncmp(url, "http://", 7) == 0;
}

static enum err
use_metadata(struct credential_provider *provider, struct fetch_options options,
    char *why, size_t why_size)
{
	const struct config *config = options.config;

	if (endpoint_is_local(config) ||
	    strcmp(config->aws_ec2_metadata_disabled, "true") == 0) {
		snprintf(why, why_size,
		    "no AWS credentials: set AWS_ACCESS_KEY_ID and "
		    "AWS_SECRET_ACCESS_KEY%s, or AWS_PROFILE",
		    endpoint_is_local(config) ? " (a local server takes any)"
					      : "");
		return ERR_BAD_INPUT;
	}
	options.source = FETCH_METADATA;
	return use_fetcher(provider, options, why, why_size);
}

/* The first source that is configured is the one, for better or worse. */
static enum err
choose_source(struct credential_provider *provider, const struct config *config,
    const char *region, char *why, size_t why_size)
{
	struct fetch_options options = {
	    .config = config,
	    .region = region,
	    .role_arn = config->aws_role_arn,
	    .session_name = config->aws_role_session_name,
	    .token_file = config->aws_web_identity_token_file,
	};
	enum err err;

	if (config->aws_access_key_id[0] != '\0' ||
	    config->aws_secret_access_key[0] != '\0')
		return use_static(provider, config->aws_access_key_id,
		    config->aws_secret_access_key, config->aws_session_token,
		    "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY", why, why_size);
	if (options.token_file[0] != '\0')
		return use_web_identity(provider, options, why, why_size);
	err = profile_load(&provider->profile, config, why, why_size);
	if (err != ERR_OK)
		return err;
	err = use_profile(provider, options, why, why_size);
	if (err != ERR_NOT_FOUND)
		return err;
	if (config->aws_container_credentials_relative_uri[0] != '\0' ||
	    config->aws_container_credentials_full_uri[0] != '\0') {
		options.source = FETCH_CONTAINER;
		return use_fetcher(provider, options, why, why_size);
	}
	return use_metadata(provider, options, why, why_size);
}

enum err
credentials_new(struct credential_provider **out, struct ev_loop *loop,
    const struct config *config, const char *region, char *why, size_t why_size)
{
	struct credential_provider *provider = calloc(1, sizeof(*provider));
	enum err err;

	if (provider == NULL)
		return ERR_NOMEM;
	provider->loop = loop;
	err = choose_source(provider, config, region, why, why_size);
	if (err != ERR_OK) {
		credentials_free(provider);
		return err;
	}
	*out = provider;
	return ERR_OK;
}

void
credentials_free(struct credential_provider *provider)
{
	struct waiter *waiter;

	if (provider == NULL)
		return;
	fetcher_free(provider->fetcher);
	while ((waiter = provider->waiters) != NULL) {
		provider->waiters = waiter->next;
		free(waiter);
	}
	free(provider);
}
