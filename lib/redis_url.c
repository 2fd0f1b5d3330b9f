/* Redis URLs to addresses.  Pure; opens nothing. */
#include "redis_url.h"

#include <stdio.h>
#include <string.h>

#include "percent.h"

#define FORMS                                                  \
	"must be redis://[[user]:password@]host[:port][/db], " \
	"redis+sentinel://[[user]:password@]host[:port],.../"  \
	"master[/db] or unix:///path[?db=N]"
#define BAD_LOGIN "user or password is malformed or too long"
#define SENTINEL_PORT 26379
#define DB_MAX 65535

static enum err
refuse(char *why, size_t size, const char *text)
{
	snprintf(why, size, "REDIS_URL: %s", text);
	return ERR_BAD_INPUT;
}

/* The first of the characters in from..end, or end. */
static const char *
find_any(const char *from, const char *end, const char *characters)
{
	while (from < end && strchr(characters, *from) == NULL)
		from++;
	return from;
}

/* Digits only, to the end of the text; "" keeps the default in *out. */
static bool
parse_small(const char *from, const char *end, int max, int *out)
{
	int n = 0;

	if (from == end)
		return true;
	if (end - from > 5)
		return false;
	for (; from < end; from++) {
		if (*from < '0' || *from > '9')
			return false;
		n = n * 10 + (*from - '0');
	}
	*out = n;
	return n <= max;
}

static enum err
parse_unix(const char *path, struct redis_address *a, char *why, size_t size)
{
	const char *end = path + strlen(path);
	const char *query = find_any(path, end, "?");

	if (query == path || path[0] != '/')
		return refuse(why, size, FORMS);
	if (!percent_decode(path, query, a->path, sizeof(a->path)))
		return refuse(
		    why, size, "the socket's path is longer than 107 bytes");
	if (query < end && (strncmp(query, "?db=", 4) != 0 ||
			       !parse_small(query + 4, end, DB_MAX, &a->db)))
		return refuse(why, size, FORMS);
	return ERR_OK;
}

/* [user][:password] */
static bool
parse_login(const char *from, const char *end, struct redis_address *a)
{
	const char *colon = find_any(from, end, ":");

	return percent_decode(from, colon, a->user, sizeof(a->user)) &&
	       (colon == end || percent_decode(colon + 1, end, a->password,
				    sizeof(a->password)));
}

/* host[:port] or [ipv6][:port] */
static bool
parse_host(const char *from, const char *end, struct redis_address *a)
{
	const char *stop, *rest;

	/* A second "@": what is before it may be the end of a password. */
	if (find_any(from, end, "@") != end)
		return false;
	if (from < end && *from == '[') {
		from++;
		stop = find_any(from, end, "]");
		if (stop == end)
			return false;
		rest = stop + 1;
	} else {
		stop = find_any(from, end, ":");
		rest = stop;
	}
	if (stop == from ||
	    !percent_decode(from, stop, a->host, sizeof(a->host)))
		return false;
	return rest == end ||
	       (*rest == ':' && parse_small(rest + 1, end, 65535, &a->port) &&
		   a->port != 0);
}

/* The login before an "@" goes to *a; *from moves behind it. */
static bool
take_login(const char **from, const char *end, struct redis_address *a)
{
	const char *at = find_any(*from, end, "@");

	if (at == end)
		return true;
	if (!parse_login(*from, at, a))
		return false;
	*from = at + 1;
	return true;
}

static enum err
parse_tcp(const char *from, struct redis_address *a, char *why, size_t size)
{
	const char *end = from + strlen(from);
	const char *stop = find_any(from, end, "/?");

	if (!take_login(&from, stop, a))
		return refuse(why, size, BAD_LOGIN);
	if (!parse_host(from, stop, a) || (stop < end && *stop == '?') ||
	    (stop < end && !parse_small(stop + 1, end, DB_MAX, &a->db)))
		return refuse(why, size, FORMS);
	return ERR_OK;
}

/* --- Sentinels --- */

/* host[:port][,host[:port]...] */
static const char *
parse_sentinels(const char *from, const char *end, struct redis_url *u)
{
	const char *comma;

	for (;; from = comma + 1) {
		struct redis_address *a = &u->sentinels[u->sentinels_n];

		if (u->sentinels_n == SENTINELS_MAX)
			return "nine Sentinels at most";
		comma = find_any(from, end, ",");
		a->port = SENTINEL_PORT;
		if (!parse_host(from, comma, a))
			return FORMS;
		u->sentinels_n++;
		if (comma == end)
			return NULL;
	}
}

/* The value of "name=value" in from..end, or NULL. */
static const char *
value_of(const char *from, const char *end, const char *name)
{
	size_t len = strlen(name);

	return (size_t)(end - from) > len && memcmp(from, name, len) == 0 &&
		       from[len] == '='
		   ? from + len + 1
		   : NULL;
}

/* sentinel_user=...&sentinel_password=...: the same for all of them. */
static const char *
parse_options(const char *from, const char *end, struct redis_url *u)
{
	struct redis_address *first = &u->sentinels[0];
	const char *stop, *value;
	bool ok = true;

	for (; ok && from < end; from = stop < end ? stop + 1 : end) {
		stop = find_any(from, end, "&");
		if ((value = value_of(from, stop, "sentinel_user")) != NULL)
			ok = percent_decode(
			    value, stop, first->user, sizeof(first->user));
		else if ((value = value_of(from, stop, "sentinel_password")) !=
			 NULL)
			ok = percent_decode(value, stop, first->password,
			    sizeof(first->password));
		else
			return "options are sentinel_user= and "
			       "sentinel_password=";
	}
	for (size_t i = 1; i < u->sentinels_n; i++) {
		memcpy(u->sentinels[i].user, first->user, sizeof(first->user));
		memcpy(u->sentinels[i].password, first->password,
		    sizeof(first->password));
	}
	return ok ? NULL : BAD_LOGIN;
}

/* master[/db] */
static const char *
parse_master(const char *from, const char *end, struct redis_url *u)
{
	const char *slash = find_any(from, end, "/");

	if (from == slash ||
	    !percent_decode(from, slash, u->master, sizeof(u->master)))
		return "after the Sentinels comes the master's name, as in "
		       "/mymaster (64 bytes at most)";
	return slash < end &&
		       !parse_small(slash + 1, end, DB_MAX, &u->server.db)
		   ? FORMS
		   : NULL;
}

static const char *
parse_sentinel_url(const char *from, struct redis_url *u)
{
	const char *end = from + strlen(from), *wrong;
	const char *hosts_end = find_any(from, end, "/?");
	const char *path_end = find_any(hosts_end, end, "?");

	if (!take_login(&from, hosts_end, &u->server))
		return BAD_LOGIN;
	wrong = parse_sentinels(from, hosts_end, u);
	if (wrong == NULL)
		wrong = parse_master(
		    hosts_end < path_end ? hosts_end + 1 : path_end, path_end,
		    u);
	if (wrong == NULL && path_end < end)
		wrong = parse_options(path_end + 1, end, u);
	return wrong;
}

/* What follows the scheme, or NULL when it is another one. */
static const char *
after_scheme(const char *url, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncmp(url, scheme, len) == 0 ? url + len : NULL;
}

enum err
redis_url_parse(const char *url, struct redis_url *u, char *why, size_t size)
{
	const char *rest, *wrong;

	memset(u, 0, sizeof(*u));
	u->server.port = 6379;
	if (url[0] == '/')
		return parse_unix(url, &u->server, why, size);
	if ((rest = after_scheme(url, "unix://")) != NULL)
		return parse_unix(rest, &u->server, why, size);
	if ((rest = after_scheme(url, "redis://")) != NULL)
		return parse_tcp(rest, &u->server, why, size);
	if ((rest = after_scheme(url, "redis+sentinel://")) != NULL) {
		wrong = parse_sentinel_url(rest, u);
		return wrong != NULL ? refuse(why, size, wrong) : ERR_OK;
	}
	if (after_scheme(url, "rediss://") != NULL)
		return refuse(why, size,
		    "TLS (rediss://) is not supported; use a local stunnel or "
		    "a unix socket");
	return refuse(why, size, FORMS);
}
