/* Redis URLs to addresses.  Pure; opens nothing. */
#include "redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMS                                                    \
	"must be redis://[[user]:password@]host[:port][/db] or " \
	"unix:///path[?db=N]"

static enum err
refuse(char *why, size_t size, const char *text)
{
	snprintf(why, size, "REDIS_URL: %s", text);
	return ERR_BAD_INPUT;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Copy len bytes, %XX decoded. False when it does not fit or is malformed. */
static bool
copy_decoded(const char *from, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)from[i];

		if (c == '%') {
			if (i + 2 >= len || hex_digit(from[i + 1]) < 0 ||
			    hex_digit(from[i + 2]) < 0)
				return false;
			c = hex_digit(from[i + 1]) * 16 +
			    hex_digit(from[i + 2]);
			i += 2;
		}
		if (n + 1 >= size || c == '\0')
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

/* Digits only, to the end of the text; "" keeps the default in *out. */
static bool
parse_small(const char *text, size_t len, int max, int *out)
{
	int n = 0;

	if (len == 0)
		return true;
	if (len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (text[i] - '0');
	}
	*out = n;
	return n <= max;
}

static enum err
parse_unix(const char *path, struct redis_address *a, char *why, size_t size)
{
	const char *query = strchr(path, '?');
	size_t len = query != NULL ? (size_t)(query - path) : strlen(path);

	if (len == 0 || path[0] != '/')
		return refuse(why, size, FORMS);
	if (!copy_decoded(path, len, a->path, sizeof(a->path)))
		return refuse(
		    why, size, "the socket's path is longer than 107 bytes");
	if (query != NULL &&
	    (strncmp(query, "?db=", 4) != 0 ||
		!parse_small(query + 4, strlen(query + 4), 65535, &a->db)))
		return refuse(why, size, FORMS);
	return ERR_OK;
}

static bool
parse_login(const char *login, size_t len, struct redis_address *a)
{
	const char *colon = memchr(login, ':', len);
	size_t user_len = colon != NULL ? (size_t)(colon - login) : len;

	if (!copy_decoded(login, user_len, a->user, sizeof(a->user)))
		return false;
	return colon == NULL || copy_decoded(colon + 1, len - user_len - 1,
				    a->password, sizeof(a->password));
}

static bool
parse_host(const char *host, size_t len, struct redis_address *a)
{
	const char *end = memchr(host, ']', len);
	const char *colon;

	if (len > 0 && host[0] == '[') {
		if (end == NULL)
			return false;
		colon = end + 1 < host + len ? end + 1 : NULL;
		host++;
		len -= 1;
	} else {
		colon = memchr(host, ':', len);
		end = colon != NULL ? colon : host + len;
	}
	/* A second "@": what is before it may be the end of a password. */
	if (memchr(host, '@', len) != NULL ||
	    !copy_decoded(
		host, (size_t)(end - host), a->host, sizeof(a->host)) ||
	    a->host[0] == '\0')
		return false;
	return colon == NULL ||
	       (*colon == ':' &&
		   parse_small(colon + 1, (size_t)(host + len - colon - 1),
		       65535, &a->port) &&
		   a->port != 0);
}

static enum err
parse_tcp(const char *rest, struct redis_address *a, char *why, size_t size)
{
	size_t len = strcspn(rest, "/?");
	const char *at = memchr(rest, '@', len), *host = rest;

	if (at != NULL) {
		if (!parse_login(rest, (size_t)(at - rest), a))
			return refuse(why, size,
			    "user or password is malformed or too long");
		host = at + 1;
	}
	if (!parse_host(host, len - (size_t)(host - rest), a))
		return refuse(why, size, FORMS);
	if (rest[len] == '/' &&
	    !parse_small(rest + len + 1, strlen(rest + len + 1), 65535, &a->db))
		return refuse(why, size, FORMS);
	return rest[len] == '?' ? refuse(why, size, FORMS) : ERR_OK;
}

enum err
redis_url_parse(
    const char *url, struct redis_address *a, char *why, size_t size)
{
	memset(a, 0, sizeof(*a));
	a->port = 6379;
	if (url[0] == '/')
		return parse_unix(url, a, why, size);
	if (strncmp(url, "unix://", 7) == 0)
		return parse_unix(url + 7, a, why, size);
	if (strncmp(url, "redis://", 8) == 0)
		return parse_tcp(url + 8, a, why, size);
	if (strncmp(url, "rediss://", 9) == 0)
		return refuse(why, size,
		    "TLS (rediss://) is not supported; use a local stunnel or "
		    "a unix socket");
	return refuse(why, size, FORMS);
}
