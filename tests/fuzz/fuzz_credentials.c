/*
 * Keys for AWS as files and servers give them: what is taken fits into a
 * header line, and how lines end makes no difference.
 */
#include "fuzz.h"

#include "credentials_fetch.h"
#include "credentials_profile.h"

static void
must_be_header(const char *value, size_t size)
{
	size_t len = strnlen(value, size);

	MUST(len < size);
	for (size_t i = 0; i < len; i++)
		MUST(((unsigned char)value[i] >= 0x20 && value[i] != 0x7f) ||
		     value[i] == '\t');
}

static void
must_be_sound(const struct profile *p)
{
	must_be_header(p->access_key_id, sizeof(p->access_key_id));
	must_be_header(p->secret_access_key, sizeof(p->secret_access_key));
	must_be_header(p->session_token, sizeof(p->session_token));
	must_be_header(p->region, sizeof(p->region));
	must_be_header(p->role_arn, sizeof(p->role_arn));
	must_be_header(p->role_session_name, sizeof(p->role_session_name));
	must_be_header(
	    p->web_identity_token_file, sizeof(p->web_identity_token_file));
	must_be_header(p->credential_process, sizeof(p->credential_process));
	if (!p->found)
		MUST(p->access_key_id[0] == '\0' && p->region[0] == '\0');
}

/* With CRLF for LF. */
static char *
as_windows_has_it(const char *text, size_t size, size_t *len)
{
	char *out = malloc(2 * size + 1);

	MUST(out != NULL);
	*len = 0;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n')
			out[(*len)++] = '\r';
		out[(*len)++] = text[i];
	}
	return out;
}

static void
check_profile(const char *text, size_t size, enum profile_file kind)
{
	static struct profile one, other;
	char why[256] = "", *windows;
	size_t len;
	enum err err;

	memset(&one, 0, sizeof(one));
	memset(&other, 0, sizeof(other));
	err = profile_parse(&one, "work", kind, text, size, why, sizeof(why));
	if (err == ERR_OK)
		must_be_sound(&one);
	else
		MUST(why[0] != '\0');
	windows = as_windows_has_it(text, size, &len);
	MUST(profile_parse(
		 &other, "work", kind, windows, len, why, sizeof(why)) == err);
	MUST(memcmp(&one, &other, sizeof(one)) == 0);
	free(windows);
}

/* Whatever stands before it, a section at the end is found. */
static void
check_last_section(const char *text, size_t size, enum profile_file kind)
{
	static struct profile p;
	char why[256], *whole = malloc(size + 64);
	size_t len;

	MUST(whole != NULL);
	memcpy(whole, text, size);
	len = size + (size_t)snprintf(whole + size, 64,
			 "\n[%swork]\naws_access_key_id = last\n",
			 kind == PROFILE_CONFIG_FILE ? "profile " : "");
	memset(&p, 0, sizeof(p));
	if (profile_parse(&p, "work", kind, whole, len, why, sizeof(why)) ==
	    ERR_OK)
		MUST(p.found && strcmp(p.access_key_id, "last") == 0);
	free(whole);
}

static void
must_be_fetched(enum err err, const struct fetched *f, const char *why)
{
	const struct credentials *keys = &f->keys;

	if (err != ERR_OK) {
		MUST(why[0] != '\0');
		return;
	}
	MUST(keys->access_key_id[0] != '\0');
	MUST(keys->secret_access_key[0] != '\0');
	MUST(keys->session_token[0] != '\0');
	must_be_header(keys->access_key_id, sizeof(keys->access_key_id));
	must_be_header(
	    keys->secret_access_key, sizeof(keys->secret_access_key));
	must_be_header(keys->session_token, sizeof(keys->session_token));
	MUST(f->expires_at != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fetched fetched;
	char *text = fuzz_text(data, size), *bytes = fuzz_bytes(data, size);
	char why[256] = "";
	enum err err;

	check_profile(bytes, size, PROFILE_CREDENTIALS_FILE);
	check_profile(bytes, size, PROFILE_CONFIG_FILE);
	check_last_section(bytes, size, PROFILE_CREDENTIALS_FILE);
	check_last_section(bytes, size, PROFILE_CONFIG_FILE);
	err = fetch_read_json(bytes, size, &fetched, why, sizeof(why));
	must_be_fetched(err, &fetched, why);
	err = fetch_read_xml(text, &fetched, why, sizeof(why));
	must_be_fetched(err, &fetched, why);
	free(text);
	free(bytes);
	return 0;
}
