/* A FastCGI edge to be fuzzed, and connections to it.  For the fuzzers that
 * need a running one. */
#ifndef FLASHSALE_TESTS_FUZZ_EDGE_H
#define FLASHSALE_TESTS_FUZZ_EDGE_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"

#include "../../fcgi/fastcgi.h"
#include "../../fcgi/handover.h"
#include "../records.h"

static struct ev_loop *loop;
static struct fastcgi *edge;
static struct sockaddr_un address;
static socklen_t address_len;

static void
on_drained(void *arg)
{
	(void)arg;
}

/* The kernel finds a name for the socket, outside of the file system. */
static void
start_edge(fastcgi_handler *handler, void *responder)
{
	struct fastcgi_options options = {.max_connections = 64,
	    .handler = handler,
	    .responder = responder,
	    .drained = on_drained};

	address.sun_family = AF_UNIX;
	options.listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	MUST(bind(options.listen_fd, (struct sockaddr *)&address,
		 sizeof(address.sun_family)) == 0);
	address_len = sizeof(address);
	MUST(getsockname(options.listen_fd, (struct sockaddr *)&address,
		 &address_len) == 0);
	MUST(listen(options.listen_fd, 16) == 0);
	MUST(handover_open(options.handover));
	MUST(fastcgi_new(&edge, loop, &options) == ERR_OK);
}

static int
connect_to_edge(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	MUST(connect(fd, (struct sockaddr *)&address, address_len) == 0);
	return fd;
}

/* Let the loop do all there is to do: accept, read, answer, read again. */
static void
settle(void)
{
	for (int i = 0; i < 5; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

/* What has come on the connection; *at_end when it was closed behind that
 * (which is a reset where not all was read). */
static size_t
receive(int fd, uint8_t *out, size_t size, bool *at_end)
{
	size_t len = 0;
	ssize_t n;

	while ((n = recv(fd, out + len, size - len, MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	*at_end = n == 0 || errno != EAGAIN;
	return len;
}

#endif
