/*
 * Profiles: ~/.aws/credentials and ~/.aws/config.
 * https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
#ifndef FLASHSALE_CREDENTIALS_PROFILE_H
#define FLASHSALE_CREDENTIALS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "err.h"

#define PROFILE_FILE_MAX 65536 /* bytes */

/* "" = not given. */
struct profile {
	bool found; /* a section of that name exists */
	char access_key_id[129];
	char secret_access_key[129];
	char session_token[4097];
	char region[64];
	char role_arn[256];
	char role_session_name[65];
	char web_identity_token_file[512];
	char credential_process[1024];
	bool sso; /* wants "aws sso login" */
};

enum profile_file { PROFILE_CREDENTIALS_FILE, PROFILE_CONFIG_FILE };

/*
 * Take over what the text says of the named profile.  Pure.  A value that
 * is there already is only replaced by the credentials file's: read the
 * config file first.  ERR_BAD_INPUT: a value is too long (why names it).
 */
enum err profile_parse(struct profile *, const char *name, enum profile_file,
    const char *text, size_t len, char *why, size_t why_size) MUST_CHECK;

/*
 * Read both files for AWS_PROFILE or "default".  Missing files are fine;
 * ERR_BAD_INPUT when AWS_PROFILE names a profile that neither has.
 */
enum err profile_load(struct profile *, const struct config *, char *why,
    size_t why_size) MUST_CHECK;

#endif
