/*
 * Three places that hand out temporary keys.  Each is a short chain of
 * requests; any failure ends the try, and the chain starts again a second
 * later, three times at most.
 */
#define _XOPEN_SOURCE 700 /* strptime */
#include "credentials_fetch.h"

#include <jansson.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "http.h"

#define ANSWER_MAX 65536
#define TOKEN_MAX 20480 /* bytes of a token file: STS takes 20,000 */
#define FORM_MAX (3 * TOKEN_MAX + 2048)
#define RETRY_SECONDS 1.0
#define METADATA_HOST "http://169.254.169.254"
#define METADATA_PATH "/latest/meta-data/iam/security-credentials/"

struct fetcher {
	struct ev_loop *loop;
	struct http *http;
	struct fetch_options options;
	char url[1024];
	unsigned tries_left;
	ev_timer again;
	fetch_fn *fn;
	void *arg;
	char metadata_token[512];
};

static void fetch_try(struct fetcher *);

/* --- Reading the answers --- */

/* "2026-01-01T12:00:00Z", with or without a fraction of the second; 0 when
 * it is nothing of the kind. */
static time_t
read_time(const char *text)
{
	struct tm utc = {0};

	return strptime(text, "%Y-%m-%dT%H:%M:%S", &utc) == NULL ? 0
								 : timegm(&utc);
}

/* Missing, too long, or nothing for a header line is the same: no use. */
static bool
take(const char *text, size_t len, char *out, size_t size)
{
	if (text == NULL || len == 0 || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)text[i]))
			return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

static bool
take_json(json_t *root, const char *name, char *out, size_t size)
{
	json_t *value = json_object_get(root, name);

	return take(
	    json_string_value(value), json_string_length(value), out, size);
}

enum err
fetch_read_json(const char *body, size_t len, struct fetched *fetched,
    char *why, size_t why_size)
{
	json_t *root = json_loadb(body, len, 0, NULL);
	const char *code = json_string_value(json_object_get(root, "Code"));
	struct credentials *keys = &fetched->keys;
	char expiration[64];
	bool good;

	memset(fetched, 0, sizeof(*fetched));
	good = take_json(root, "AccessKeyId", keys->access_key_id,
		   sizeof(keys->access_key_id)) &&
	       take_json(root, "SecretAccessKey", keys->secret_access_key,
		   sizeof(keys->secret_access_key)) &&
	       take_json(root, "Token", keys->session_token,
		   sizeof(keys->session_token)) &&
	       take_json(root, "Expiration", expiration, sizeof(expiration)) &&
	       (fetched->expires_at = read_time(expiration)) != 0;
	if (!good)
		snprintf(why, why_size, "the answer has no keys%s%.60s",
		    code == NULL ? "" : ": ", code == NULL ? "" : code);
	json_decref(root);
	return good ? ERR_OK : ERR_PROTOCOL;
}

/* None of these values ever holds a character that XML would escape. */
static bool
take_xml(const char *body, const char *tag, char *out, size_t size)
{
	char open[40];
	const char *start;

	snprintf(open, sizeof(open), "<%s>", tag);
	start = strstr(body, open);
	if (start == NULL)
		return false;
	start += strlen(open);
	return take(start, strcspn(start, "<"), out, size);
}

enum err
fetch_read_xml(
    const char *body, struct fetched *fetched, char *why, size_t why_size)
{
	struct credentials *keys = &fetched->keys;
	char expiration[64], code[80];

	memset(fetched, 0, sizeof(*fetched));
	if (take_xml(body, "AccessKeyId", keys->access_key_id,
		sizeof(keys->access_key_id)) &&
	    take_xml(body, "SecretAccessKey", keys->secret_access_key,
		sizeof(keys->secret_access_key)) &&
	    take_xml(body, "SessionToken", keys->session_token,
		sizeof(keys->session_token)) &&
	    take_xml(body, "Expiration", expiration, sizeof(expiration)) &&
	    (fetched->expires_at = read_time(expiration)) != 0)
		return ERR_OK;
	if (!take_xml(body, "Code", code, sizeof(code)))
		snprintf(code, sizeof(code), "the answer has no keys");
	snprintf(why, why_size, "%s", code);
	return ERR_PROTOCOL;
}

/* --- A fetch's end --- */

static const char *
source_name(const struct fetcher *fetcher)
{
	static const char *const names[] = {
	    [FETCH_WEB_IDENTITY] = "web identity (STS)",
	    [FETCH_CONTAINER] = "container credentials",
	    [FETCH_METADATA] = "EC2 instance metadata",
	};

	return names[fetcher->options.source];
}

static void
on_again(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	fetch_try(timer->data);
}

static void
fetch_failed(struct fetcher *fetcher, const char *what, const char *why)
{
	char text[512];

	if (--fetcher->tries_left > 0) {
		ev_timer_stop(fetcher->loop, &fetcher->again);
		ev_timer_set(&fetcher->again, RETRY_SECONDS, 0.0);
		ev_timer_start(fetcher->loop, &fetcher->again);
		return;
	}
	snprintf(
	    text, sizeof(text), "%s: %s: %s", source_name(fetcher), what, why);
	fetcher->fn(NULL, text, fetcher->arg);
}

/* False when there is no usable answer; the failure is dealt with then. */
static bool
answer_is_good(struct fetcher *fetcher, const struct http_response *response,
    const char *what)
{
	char why[64];

	if (response->err == ERR_OK && response->status == 200)
		return true;
	snprintf(why, sizeof(why), "HTTP status %d", response->status);
	fetch_failed(
	    fetcher, what, response->err != ERR_OK ? response->why : why);
	return false;
}

static void
on_keys_json(const struct http_response *response, void *arg)
{
	struct fetcher *fetcher = arg;
	struct fetched fetched;
	char why[128];

	if (!answer_is_good(fetcher, response, "fetching the keys"))
		return;
	if (fetch_read_json(response->body, response->body_len, &fetched, why,
		sizeof(why)) == ERR_OK)
		fetcher->fn(&fetched, NULL, fetcher->arg);
	else
		fetch_failed(fetcher, "fetching the keys", why);
}

/* --- Files with tokens --- */

/* Read anew each time: they are rotated.  Without the final line end. */
static enum err
read_token(const char *path, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len;

	if (file == NULL)
		return ERR_NOT_FOUND;
	len = fread(out, 1, size, file);
	fclose(file);
	while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == '\r'))
		len--;
	/* A line end inside would end the header and begin another. */
	if (len == 0 || len == size || memchr(out, '\n', len) != NULL ||
	    memchr(out, '\r', len) != NULL || memchr(out, '\0', len) != NULL)
		return ERR_BAD_INPUT;
	out[len] = '\0';
	return ERR_OK;
}

/* --- Web identity: one unsigned call to STS --- */

static void
put_form(char *form, const char *name, const char *value)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789-_.~";
	size_t len = strlen(form);

	len += (size_t)snprintf(
	    form + len, FORM_MAX - len, "%s%s=", len == 0 ? "" : "&", name);
	for (; *value != '\0' && len + 4 < FORM_MAX; value++) {
		if (strchr(plain, *value) != NULL)
			form[len++] = *value;
		else
			len += (size_t)snprintf(form + len, FORM_MAX - len,
			    "%%%02X", (unsigned char)*value);
	}
	form[len] = '\0';
}

static void
on_keys_xml(const struct http_response *response, void *arg)
{
	struct fetcher *fetcher = arg;
	struct fetched fetched;
	char why[128];

	/* With a status of 400 the body says why. */
	if (response->err != ERR_OK || response->body_len == 0) {
		if (answer_is_good(fetcher, response, "assuming the role"))
			fetch_failed(fetcher, "assuming the role", "no answer");
		return;
	}
	if (fetch_read_xml(response->body, &fetched, why, sizeof(why)) ==
	    ERR_OK)
		fetcher->fn(&fetched, NULL, fetcher->arg);
	else
		fetch_failed(fetcher, "assuming the role", why);
}

static void
try_web_identity(struct fetcher *fetcher)
{
	static const char *const headers[] = {
	    "Content-Type: application/x-www-form-urlencoded", NULL};
	const struct fetch_options *options = &fetcher->options;
	char token[TOKEN_MAX], form[FORM_MAX] = "", name[64];
	struct http_request request = {
	    .method = "POST",
	    .url = fetcher->url,
	    .headers = headers,
	    .body = form,
	    .timeout_ms = 5000,
	};

	if (read_token(options->token_file, token, sizeof(token)) != ERR_OK) {
		fetch_failed(fetcher, options->token_file,
		    "no such file, or not one token in it");
		return;
	}
	snprintf(name, sizeof(name), "flashsale-%ld", (long)getpid());
	put_form(form, "Action", "AssumeRoleWithWebIdentity");
	put_form(form, "Version", "2011-06-15");
	put_form(form, "RoleArn", options->role_arn);
	put_form(form, "RoleSessionName",
	    options->session_name[0] == '\0' ? name : options->session_name);
	put_form(form, "WebIdentityToken", token);
	request.body_len = strlen(form);
	http_send(fetcher->http, &request, on_keys_xml, fetcher);
}

/* --- Container: one GET, with a token if there is one --- */

static void
try_container(struct fetcher *fetcher)
{
	const struct config *config = fetcher->options.config;
	const char *path = config->aws_container_authorization_token_file;
	char token[TOKEN_MAX], header[TOKEN_MAX + 32];
	const char *headers[] = {NULL, NULL};
	struct http_request request = {
	    .method = "GET",
	    .url = fetcher->url,
	    .headers = headers,
	    .timeout_ms = 2000,
	};

	token[0] = '\0';
	if (path[0] == '\0') {
		snprintf(token, sizeof(token), "%s",
		    config->aws_container_authorization_token);
	} else if (read_token(path, token, sizeof(token)) != ERR_OK) {
		fetch_failed(
		    fetcher, path, "no such file, or not one token in it");
		return;
	}
	if (token[0] != '\0') {
		snprintf(header, sizeof(header), "Authorization: %s", token);
		headers[0] = header;
	}
	http_send(fetcher->http, &request, on_keys_json, fetcher);
}

/* --- Instance metadata: token, role, keys --- */

static void
metadata_get(struct fetcher *fetcher, const char *role, http_fn *fn)
{
	char url[sizeof(fetcher->url) + 160], header[600];
	const char *headers[] = {header, NULL};
	struct http_request request = {
	    .method = "GET",
	    .url = url,
	    .headers = headers,
	    .timeout_ms = 1000,
	};

	snprintf(url, sizeof(url), "%s" METADATA_PATH "%s", fetcher->url, role);
	snprintf(header, sizeof(header), "X-aws-ec2-metadata-token: %s",
	    fetcher->metadata_token);
	http_send(fetcher->http, &request, fn, fetcher);
}

static void
on_metadata_role(const struct http_response *response, void *arg)
{
	struct fetcher *fetcher = arg;
	char role[128];

	if (!answer_is_good(fetcher, response,
		"asking for the instance's role (has it one?)"))
		return;
	/* One role an instance; whatever follows the first line is not it. */
	if (take(response->body, strcspn(response->body, "\r\n ?#"), role,
		sizeof(role)))
		metadata_get(fetcher, role, on_keys_json);
	else
		fetch_failed(fetcher, "asking for the instance's role",
		    "the answer names none");
}

static void
on_metadata_token(const struct http_response *response, void *arg)
{
	struct fetcher *fetcher = arg;

	if (!answer_is_good(fetcher, response,
		"asking for a token (outside EC2 set AWS_ACCESS_KEY_ID or "
		"AWS_PROFILE; in a container on EC2 raise the hop limit to 2)"))
		return;
	if (take(response->body, strcspn(response->body, "\r\n"),
		fetcher->metadata_token, sizeof(fetcher->metadata_token)))
		metadata_get(fetcher, "", on_metadata_role);
	else
		fetch_failed(
		    fetcher, "asking for a token", "the answer is bad");
}

static void
try_metadata(struct fetcher *fetcher)
{
	static const char *const headers[] = {
	    "X-aws-ec2-metadata-token-ttl-seconds: 21600", NULL};
	char url[sizeof(fetcher->url) + 32];
	struct http_request request = {
	    .method = "PUT",
	    .url = url,
	    .headers = headers,
	    .timeout_ms = 1000,
	};

	snprintf(url, sizeof(url), "%s/latest/api/token", fetcher->url);
	http_send(fetcher->http, &request, on_metadata_token, fetcher);
}

static void
fetch_try(struct fetcher *fetcher)
{
	switch (fetcher->options.source) {
	case FETCH_WEB_IDENTITY:
		try_web_identity(fetcher);
		break;
	case FETCH_CONTAINER:
		try_container(fetcher);
		break;
	case FETCH_METADATA:
		try_metadata(fetcher);
		break;
	}
}

void
fetcher_start(struct fetcher *fetcher, fetch_fn *fn, void *arg)
{
	fetcher->fn = fn;
	fetcher->arg = arg;
	/* Off EC2 nobody answers: asking again would only keep us waiting. */
	fetcher->tries_left = fetcher->options.source == FETCH_METADATA ? 1 : 3;
	fetch_try(fetcher);
}

/* --- Set-up --- */

/* The token would cross the wire in clear text: only where the SDKs allow. */
static bool
container_uri_is_allowed(const char *uri)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]",
	    "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	size_t len;

	if (strncmp(uri, "https://", 8) == 0)
		return true;
	if (strncmp(uri, "http://", 7) != 0)
		return false;
	uri += 7;
	len = uri[0] == '[' ? strcspn(uri, "]") + 1 : strcspn(uri, ":/?#");
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (strlen(hosts[i]) == len && strncmp(uri, hosts[i], len) == 0)
			return true;
	return false;
}

static enum err
container_url(struct fetcher *fetcher, char *why, size_t why_size)
{
	const struct config *config = fetcher->options.config;
	const char *relative = config->aws_container_credentials_relative_uri;
	const char *full = config->aws_container_credentials_full_uri;

	if (strpbrk(config->aws_container_authorization_token, "\r\n") !=
	    NULL) {
		snprintf(why, why_size,
		    "AWS_CONTAINER_AUTHORIZATION_TOKEN has a line end in it");
		return ERR_BAD_INPUT;
	}
	if (relative[0] == '/') {
		snprintf(fetcher->url, sizeof(fetcher->url),
		    "http://169.254.170.2%s", relative);
	} else if (relative[0] == '\0' && container_uri_is_allowed(full)) {
		snprintf(fetcher->url, sizeof(fetcher->url), "%s", full);
	} else {
		snprintf(why, why_size,
		    "AWS_CONTAINER_CREDENTIALS_%s: must be %s",
		    relative[0] != '\0' ? "RELATIVE_URI" : "FULL_URI",
		    relative[0] != '\0'
			? "a path that begins with /"
			: "https, or http on loopback or a host of AWS'");
		return ERR_BAD_INPUT;
	}
	return ERR_OK;
}

static enum err
choose_url(struct fetcher *fetcher, char *why, size_t why_size)
{
	const struct fetch_options *options = &fetcher->options;
	const struct config *config = options->config;
	const char *url = NULL;

	switch (options->source) {
	case FETCH_CONTAINER:
		return container_url(fetcher, why, why_size);
	case FETCH_METADATA:
		url = config->aws_ec2_metadata_service_endpoint;
		snprintf(fetcher->url, sizeof(fetcher->url), "%s",
		    url[0] != '\0' ? url : METADATA_HOST);
		url = fetcher->url + strlen(fetcher->url) - 1;
		if (*url == '/')
			fetcher->url[strlen(fetcher->url) - 1] = '\0';
		break;
	case FETCH_WEB_IDENTITY:
		url = config->aws_endpoint_url_sts[0] != '\0'
			  ? config->aws_endpoint_url_sts
			  : config->aws_endpoint_url;
		if (url[0] != '\0')
			snprintf(fetcher->url, sizeof(fetcher->url), "%s", url);
		else
			snprintf(fetcher->url, sizeof(fetcher->url),
			    "https://sts.%s.amazonaws.com%s/", options->region,
			    strncmp(options->region, "cn-", 3) == 0 ? ".cn"
								    : "");
		break;
	}
	return ERR_OK;
}

enum err
fetcher_new(struct fetcher **out, struct ev_loop *loop,
    const struct fetch_options *options, char *why, size_t why_size)
{
	struct http_options http_options = {
	    .max_connections = 1,
	    .ca_bundle = options->config->aws_ca_bundle,
	    .response_max = ANSWER_MAX,
	    .no_proxy = options->source != FETCH_WEB_IDENTITY,
	};
	struct fetcher *fetcher = calloc(1, sizeof(*fetcher));
	enum err err = ERR_NOMEM;

	if (fetcher == NULL)
		return ERR_NOMEM;
	fetcher->loop = loop;
	fetcher->options = *options;
	ev_timer_init(&fetcher->again, on_again, 0.0, 0.0);
	fetcher->again.data = fetcher;
	err = choose_url(fetcher, why, why_size);
	if (err == ERR_OK)
		err = http_new(&fetcher->http, loop, &http_options);
	if (err != ERR_OK) {
		free(fetcher);
		return err;
	}
	*out = fetcher;
	return ERR_OK;
}

void
fetcher_free(struct fetcher *fetcher)
{
	if (fetcher == NULL)
		return;
	ev_timer_stop(fetcher->loop, &fetcher->again);
	http_free(fetcher->http);
	free(fetcher);
}
