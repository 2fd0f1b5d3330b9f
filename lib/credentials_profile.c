/*
 * Profile files: sections of NAME = VALUE lines, with the habits that occur
 * in the wild (comments, CRLF, BOM, nested values).  Knows no network.
 */
#include "credentials_profile.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A piece of the text, not NUL-terminated. */
struct piece {
	const char *at;
	size_t len;
};

static struct piece
trim(struct piece piece)
{
	while (piece.len > 0 && isspace((unsigned char)piece.at[0])) {
		piece.at++;
		piece.len--;
	}
	while (piece.len > 0 && isspace((unsigned char)piece.at[piece.len - 1]))
		piece.len--;
	return piece;
}

static bool
piece_is(struct piece piece, const char *text)
{
	return piece.len == strlen(text) &&
	       memcmp(piece.at, text, piece.len) == 0;
}

/* " #" and " ;" begin a comment behind a value. */
static struct piece
without_comment(struct piece piece)
{
	for (size_t i = 1; i < piece.len; i++) {
		if ((piece.at[i] == '#' || piece.at[i] == ';') &&
		    isspace((unsigned char)piece.at[i - 1])) {
			piece.len = i;
			break;
		}
	}
	return trim(piece);
}

/* Is "[name]", or in the config file "[profile name]", this profile? */
static bool
section_is(struct piece line, const char *name, enum profile_file file)
{
	const char *end = memchr(line.at, ']', line.len);
	struct piece title = {line.at + 1, 0};
	bool prefixed = false;

	if (end == NULL)
		return false;
	title.len = (size_t)(end - title.at);
	title = trim(title);
	if (title.len > 8 && memcmp(title.at, "profile", 7) == 0 &&
	    isspace((unsigned char)title.at[7])) {
		title.at += 7;
		title.len -= 7;
		title = trim(title);
		prefixed = true;
	}
	if (file == PROFILE_CREDENTIALS_FILE)
		return !prefixed && piece_is(title, name);
	return piece_is(title, name) &&
	       (prefixed || strcmp(name, "default") == 0);
}

/* Values go into header lines. */
static bool
is_one_line(struct piece value)
{
	for (size_t i = 0; i < value.len; i++)
		if (iscntrl((unsigned char)value.at[i]) && value.at[i] != '\t')
			return false;
	return true;
}

/* Keep one setting; those that mean nothing to us are passed over. */
static enum err
profile_set(struct profile *profile, struct piece key, struct piece value,
    char *why, size_t why_size)
{
	const struct {
		const char *key;
		char *out;
		size_t size;
	} fields[] = {
#define FIELD(name, member) {name, profile->member, sizeof(profile->member)}
	    FIELD("aws_access_key_id", access_key_id),
	    FIELD("aws_secret_access_key", secret_access_key),
	    FIELD("aws_session_token", session_token),
	    FIELD("region", region),
	    FIELD("role_arn", role_arn),
	    FIELD("role_session_name", role_session_name),
	    FIELD("web_identity_token_file", web_identity_token_file),
	    FIELD("credential_process", credential_process),
#undef FIELD
	};

	if (key.len > 4 && memcmp(key.at, "sso_", 4) == 0)
		profile->sso = true;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (!piece_is(key, fields[i].key))
			continue;
		if (value.len >= fields[i].size) {
			snprintf(why, why_size,
			    "%s in the profile is longer than %zu bytes",
			    fields[i].key, fields[i].size - 1);
			return ERR_BAD_INPUT;
		}
		if (!is_one_line(value)) {
			snprintf(why, why_size,
			    "%s in the profile has control characters in it",
			    fields[i].key);
			return ERR_BAD_INPUT;
		}
		memcpy(fields[i].out, value.at, value.len);
		fields[i].out[value.len] = '\0';
	}
	return ERR_OK;
}

static enum err
parse_setting(
    struct profile *profile, struct piece line, char *why, size_t why_size)
{
	const char *equals = memchr(line.at, '=', line.len);
	struct piece key, value;

	if (equals == NULL)
		return ERR_OK;
	key = trim((struct piece){line.at, (size_t)(equals - line.at)});
	value = without_comment((struct piece){
	    equals + 1, line.len - (size_t)(equals + 1 - line.at)});
	if (value.len == 0)
		return ERR_OK;
	return profile_set(profile, key, value, why, why_size);
}

enum err
profile_parse(struct profile *profile, const char *name, enum profile_file file,
    const char *text, size_t len, char *why, size_t why_size)
{
	struct piece rest = {text, len}, line;
	bool ours = false, nested;
	const char *newline;
	enum err err;

	if (rest.len >= 3 && memcmp(rest.at, "\xef\xbb\xbf", 3) == 0) {
		rest.at += 3;
		rest.len -= 3;
	}
	while (rest.len > 0) {
		newline = memchr(rest.at, '\n', rest.len);
		line.at = rest.at;
		line.len =
		    newline == NULL ? rest.len : (size_t)(newline - rest.at);
		rest.at += line.len + (newline != NULL);
		rest.len -= line.len + (newline != NULL);
		nested = line.len > 0 && isspace((unsigned char)line.at[0]);
		line = trim(line);
		if (line.len == 0 || line.at[0] == '#' || line.at[0] == ';')
			continue;
		if (line.at[0] == '[') {
			ours = section_is(line, name, file);
			profile->found |= ours;
			continue;
		}
		if (!ours || nested)
			continue;
		err = parse_setting(profile, line, why, why_size);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

/* The file's text, NULL when there is none; freed by the caller. */
static char *
read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "re");
	char *text;

	if (file == NULL)
		return NULL;
	text = malloc(PROFILE_FILE_MAX);
	*len = text == NULL ? 0 : fread(text, 1, PROFILE_FILE_MAX, file);
	fclose(file);
	return text;
}

static enum err
load_file(struct profile *profile, const char *name, enum profile_file kind,
    const char *configured, char *why, size_t why_size)
{
	const char *home = getenv("HOME");
	char path[4096], *text;
	size_t len;
	enum err err;

	if (configured[0] != '\0')
		snprintf(path, sizeof(path), "%s", configured);
	else if (home != NULL && home[0] != '\0')
		snprintf(path, sizeof(path), "%s/.aws/%s", home,
		    kind == PROFILE_CONFIG_FILE ? "config" : "credentials");
	else
		return ERR_OK;
	text = read_file(path, &len);
	if (text == NULL)
		return ERR_OK;
	err = profile_parse(profile, name, kind, text, len, why, why_size);
	free(text);
	return err;
}

enum err
profile_load(struct profile *profile, const struct config *config, char *why,
    size_t why_size)
{
	const char *name =
	    config->aws_profile[0] != '\0' ? config->aws_profile : "default";
	enum err err;

	memset(profile, 0, sizeof(*profile));
	err = load_file(profile, name, PROFILE_CONFIG_FILE,
	    config->aws_config_file, why, why_size);
	if (err == ERR_OK)
		err = load_file(profile, name, PROFILE_CREDENTIALS_FILE,
		    config->aws_shared_credentials_file, why, why_size);
	if (err == ERR_OK && !profile->found &&
	    config->aws_profile[0] != '\0') {
		snprintf(why, why_size,
		    "the profile \"%.100s\" (AWS_PROFILE) is in neither "
		    "~/.aws/config nor ~/.aws/credentials",
		    config->aws_profile);
		err = ERR_BAD_INPUT;
	}
	return err;
}
