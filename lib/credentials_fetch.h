/*
 * Credentials that are fetched: web identity (STS), container, EC2 instance
 * metadata (version 2 only).  Fetches when told to; when that is due is
 * credentials.c's business.
 */
#ifndef FLASHSALE_CREDENTIALS_FETCH_H
#define FLASHSALE_CREDENTIALS_FETCH_H

#include <stddef.h>
#include <time.h>

#include <ev.h>

#include "config.h"
#include "credentials.h"
#include "err.h"

enum fetch_source { FETCH_WEB_IDENTITY, FETCH_CONTAINER, FETCH_METADATA };

/* Strings are borrowed for as long as the fetcher lives. */
struct fetch_options {
	enum fetch_source source;
	const struct config *config;
	const char *region;	  /* of STS */
	const char *role_arn;	  /* web identity: role, its session's name */
	const char *session_name; /* ("" = made up), and the token's file */
	const char *token_file;
};

struct fetched {
	struct credentials keys;
	time_t expires_at; /* seconds since 1970 */
};

struct fetcher;

/* ERR_BAD_INPUT with the reason in why: a forbidden URI... */
enum err fetcher_new(struct fetcher **, struct ev_loop *,
    const struct fetch_options *, char *why, size_t why_size) MUST_CHECK;
void fetcher_free(struct fetcher *); /* NULL is fine */

/*
 * One fetch at a time.  NULL with the reason in why when it failed, after up
 * to three tries.  May come before fetcher_start returns.
 */
typedef void fetch_fn(const struct fetched *, const char *why, void *arg);
void fetcher_start(struct fetcher *, fetch_fn *, void *arg);

/* --- The answers, pure --- */

/* {"AccessKeyId":..,"SecretAccessKey":..,"Token":..,"Expiration":..} */
enum err fetch_read_json(const char *body, size_t len, struct fetched *,
    char *why, size_t why_size) MUST_CHECK;

/* What STS says to AssumeRoleWithWebIdentity. */
enum err fetch_read_xml(
    const char *body, struct fetched *, char *why, size_t why_size) MUST_CHECK;

#endif
