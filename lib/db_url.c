/* MYSQL_URL: text in, struct out; no I/O. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "percent.h"

#define SCHEME "mysql://"

/* The first of the characters in from..end, or end. */
static const char *
find_any(const char *from, const char *end, const char *characters)
{
	while (from < end && strchr(characters, *from) == NULL)
		from++;
	return from;
}

/* user[:password] */
static const char *
parse_user(const char *from, const char *end, struct db_address *address)
{
	const char *colon = find_any(from, end, ":");

	if (!percent_decode(from, colon, address->user, sizeof(address->user)))
		return "user: too long or badly escaped";
	if (colon < end && !percent_decode(colon + 1, end, address->password,
			       sizeof(address->password)))
		return "password: too long or badly escaped";
	return NULL;
}

static const char *
parse_port(const char *from, const char *end, struct db_address *address)
{
	unsigned long port = 0;

	for (; from < end && isdigit((unsigned char)*from) && port <= 65535;
	     from++)
		port = port * 10 + (unsigned long)(*from - '0');
	if (from < end || port == 0 || port > 65535)
		return "port: must be a number from 1 to 65535";
	address->port = (unsigned)port;
	return NULL;
}

/* host[:port] or [ipv6][:port] */
static const char *
parse_host(const char *from, const char *end, struct db_address *address)
{
	const char *stop, *rest;

	if (find_any(from, end, "@") != end)
		return "password: an \"@\" in it must be written %40";
	if (from < end && *from == '[') {
		from++;
		stop = find_any(from, end, "]");
		if (stop == end)
			return "host: \"[\" without \"]\"";
		rest = stop + 1;
	} else {
		stop = find_any(from, end, ":");
		rest = stop;
	}
	if (stop == from ||
	    !percent_decode(from, stop, address->host, sizeof(address->host)))
		return "host: missing, too long or badly escaped";
	if (rest == end)
		return NULL;
	if (*rest != ':')
		return "host: must be followed by \":port\" or \"/database\"";
	return parse_port(rest + 1, end, address);
}

static const char *
parse_database(const char *from, const char *end, struct db_address *address)
{
	const char *c;

	if (from == end || !percent_decode(from, end, address->database,
			       sizeof(address->database)))
		return "database: must have 1 to 64 characters";
	for (c = address->database; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && strchr("_$-", *c) == NULL)
			return "database: may have letters, digits, _, $ and "
			       "- only";
	return NULL;
}

/* One name=value after the question mark. */
static const char *
parse_option(const char *from, const char *end, struct db_address *address)
{
	const char *value = find_any(from, end, "=");
	size_t name_len = (size_t)(value - from);
	char word[16];

	if (value < end)
		value++;
	if (name_len == 6 && memcmp(from, "socket", 6) == 0)
		return percent_decode(value, end, address->socket,
			   sizeof(address->socket)) &&
			       address->socket[0] == '/'
			   ? NULL
			   : "socket: must be an absolute path of up to 107 "
			     "bytes";
	if (name_len == 6 && memcmp(from, "ssl-ca", 6) == 0)
		return percent_decode(value, end, address->tls_ca,
			   sizeof(address->tls_ca)) &&
			       address->tls_ca[0] == '/'
			   ? NULL
			   : "ssl-ca: must be an absolute path";
	if (name_len != 3 || memcmp(from, "ssl", 3) != 0)
		return "options are socket=, ssl= and ssl-ca=";
	if (!percent_decode(value, end, word, sizeof(word)) ||
	    (strcmp(word, "required") != 0 && strcmp(word, "off") != 0))
		return "ssl: must be \"required\" or \"off\"";
	address->tls = strcmp(word, "required") == 0;
	return NULL;
}

static const char *
parse_options(const char *from, const char *end, struct db_address *address)
{
	const char *stop, *wrong = NULL;

	while (from < end && wrong == NULL) {
		stop = find_any(from, end, "&");
		wrong = parse_option(from, stop, address);
		from = stop < end ? stop + 1 : end;
	}
	return wrong;
}

static const char *
parse_url(const char *url, struct db_address *address)
{
	const char *from = url + strlen(SCHEME), *end = url + strlen(url);
	const char *authority_end, *path_end, *at, *wrong = NULL;

	if (strncmp(url, SCHEME, strlen(SCHEME)) != 0)
		return "must be mysql://user:password@host:port/database";
	authority_end = find_any(from, end, "/?");
	at = find_any(from, authority_end, "@");
	if (at < authority_end) {
		wrong = parse_user(from, at, address);
		from = at + 1;
	}
	if (wrong == NULL)
		wrong = parse_host(from, authority_end, address);
	if (wrong != NULL)
		return wrong;
	if (authority_end == end || *authority_end != '/')
		return "database: missing after the host";
	path_end = find_any(authority_end + 1, end, "?");
	wrong = parse_database(authority_end + 1, path_end, address);
	if (wrong == NULL && path_end < end)
		wrong = parse_options(path_end + 1, end, address);
	return wrong;
}

enum err
db_parse_url(
    const char *url, struct db_address *address, char *why, size_t why_size)
{
	const char *wrong;

	*address = (struct db_address){.port = 3306};
	wrong = parse_url(url, address);
	if (wrong == NULL)
		return ERR_OK;
	snprintf(why, why_size, "MYSQL_URL: %s", wrong);
	return ERR_BAD_INPUT;
}
