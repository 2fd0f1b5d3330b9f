/* An http:// URL and its address.  Knows nothing of HTTP. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "target.h"

/* Copy len bytes as a string; ERR_BAD_INPUT when empty or too long. */
static enum err
copy_part(char *to, size_t size, const char *from, size_t len)
{
	if (len == 0 || len >= size)
		return ERR_BAD_INPUT;
	memcpy(to, from, len);
	to[len] = '\0';
	return ERR_OK;
}

/* "host", "host:port", "[::1]", "[::1]:port" */
static enum err
split_authority(struct target *t)
{
	const char *s = t->authority, *host = s, *end;

	if (*s == '[') {
		host = s + 1;
		end = strchr(host, ']');
		if (end == NULL)
			return ERR_BAD_INPUT;
		s = end + 1;
	} else {
		end = s + strcspn(s, ":");
		s = end;
	}
	snprintf(t->port, sizeof(t->port), "80");
	if (*s == ':') {
		s++;
		if (strspn(s, "0123456789") != strlen(s) ||
		    copy_part(t->port, sizeof(t->port), s, strlen(s)) !=
			ERR_OK ||
		    strtol(s, NULL, 10) > 65535)
			return ERR_BAD_INPUT;
	} else if (*s != '\0') {
		return ERR_BAD_INPUT;
	}
	return copy_part(t->host, sizeof(t->host), host, (size_t)(end - host));
}

enum err
target_parse(const char *url, struct target *t, char *why, size_t why_size)
{
	const char *rest = url + 7, *path;
	size_t n;

	memset(t, 0, sizeof(*t));
	snprintf(why, why_size, "\"%s\" is not http://HOST[:PORT][/PATH]", url);
	if (strncasecmp(url, "http://", 7) != 0)
		return ERR_BAD_INPUT;
	for (path = rest; *path != '\0'; path++)
		if (*path <= ' ' || *path > '~' || strchr("?#@", *path))
			return ERR_BAD_INPUT;
	n = strcspn(rest, "/");
	path = rest + n;
	if (copy_part(t->authority, sizeof(t->authority), rest, n) != ERR_OK ||
	    split_authority(t) != ERR_OK)
		return ERR_BAD_INPUT;
	for (n = strlen(path); n > 0 && path[n - 1] == '/';)
		n--;
	return n == 0 ? ERR_OK
		      : copy_part(t->prefix, sizeof(t->prefix), path, n);
}

/* Does this address take a connection?  errno says why it does not. */
static int
try_address(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
	int failed, saved;

	if (fd < 0)
		return -1;
	failed = connect(fd, a->ai_addr, a->ai_addrlen);
	saved = errno;
	close(fd);
	errno = saved;
	return failed;
}

enum err
target_resolve(struct target *t, char *why, size_t why_size)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	int error = getaddrinfo(t->host, t->port, &hints, &list);

	if (error != 0) {
		snprintf(why, why_size, "%s: %s", t->host, gai_strerror(error));
		return ERR_UNAVAILABLE;
	}
	for (a = list; a != NULL; a = a->ai_next)
		if (try_address(a) == 0)
			break;
	if (a == NULL) {
		snprintf(
		    why, why_size, "%s: %s", t->authority, strerror(errno));
	} else {
		memcpy(&t->address, a->ai_addr, a->ai_addrlen);
		t->address_len = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return a == NULL ? ERR_UNAVAILABLE : ERR_OK;
}
