#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

/* When full, the web server answers 503. The kernel caps it at somaxconn. */
#define BACKLOG 4096

#define PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)
#define HOST_SIZE 256

static bool
is_socket_path(const char *where)
{
	return strchr(where, '/') != NULL;
}

/* Only digits: getaddrinfo() takes them modulo 65536, and 0 for any. */
static bool
is_port(const char *text)
{
	size_t len = strlen(text);
	long port = strtol(text, NULL, 10);

	return len <= 5 && strspn(text, "0123456789") == len && port >= 1 &&
	       port <= 65535;
}

static bool
is_host_port(const char *where)
{
	const char *colon = strrchr(where, ':');

	return colon != NULL && colon - where < HOST_SIZE && is_port(colon + 1);
}

enum err
listener_check(const char *where, char *why, size_t size)
{
	if (where[0] == '\0' ||
	    (is_socket_path(where) ? strlen(where) < PATH_SIZE
				   : is_host_port(where)))
		return ERR_OK;
	snprintf(why, size,
	    "LISTEN=%.200s: must be a socket path (with a slash, at most %zu "
	    "bytes) or HOST:PORT (1 to 65535)",
	    where, PATH_SIZE - 1);
	return ERR_BAD_INPUT;
}

/* Is somebody serving that path, or is it what a dead process left? */
static bool
is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool served = fd >= 0 && connect(fd, (const struct sockaddr *)address,
				     sizeof(*address)) == 0;

	if (fd >= 0)
		close(fd);
	return served;
}

static int
open_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat there;
	int fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode))
		fatal(EXIT_CONFIG, "LISTEN=%s: there is a file, not a socket",
		    path);
	if (is_served(&address))
		fatal(
		    EXIT_UNAVAIL, "LISTEN=%s: another process serves it", path);
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0)
		fatal(EXIT_OSERR, "LISTEN=%s: %s", path, strerror(errno));
	return fd;
}

static int
bind_tcp(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

static int
open_tcp(const char *where)
{
	struct addrinfo hints = {
	    .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *list = NULL;
	char host[HOST_SIZE];
	const char *colon = strrchr(where, ':');
	int fd = -1, rc;

	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	rc = getaddrinfo(
	    host[0] != '\0' ? host : NULL, colon + 1, &hints, &list);
	if (rc != 0)
		fatal(EXIT_CONFIG, "LISTEN=%s: %s", where, gai_strerror(rc));
	for (const struct addrinfo *a = list; a != NULL && fd < 0;
	     a = a->ai_next)
		fd = bind_tcp(a);
	freeaddrinfo(list);
	if (fd < 0)
		fatal(EXIT_OSERR, "LISTEN=%s: %s", where, strerror(errno));
	return fd;
}

static int
inherited(void)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listening,
		&len) != 0 ||
	    !listening)
		fatal(EXIT_CONFIG,
		    "no listening socket on descriptor 0: start this under "
		    "spawn-fcgi, lighttpd or systemd, or give one with -s "
		    "PATH or -s HOST:PORT");
	return STDIN_FILENO;
}

int
listener_open(const char *where)
{
	if (where[0] == '\0')
		return inherited();
	return is_socket_path(where) ? open_unix(where) : open_tcp(where);
}

void
listener_remove(const char *where)
{
	if (is_socket_path(where))
		unlink(where);
}
