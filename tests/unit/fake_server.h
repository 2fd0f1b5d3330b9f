/*
 * A scripted HTTP server for tests, on the event loop of the client under
 * test: no thread, no fork, no fixed port.  Request number i gets step i, on
 * whichever connection it comes; the last step serves all that follow.
 */
#ifndef FLASHSALE_TESTS_FAKE_SERVER_H
#define FLASHSALE_TESTS_FAKE_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ev.h>

enum fake_action {
	FAKE_ANSWER, /* with status, headers and body */
	FAKE_RAW,    /* write body as it is, then close */
	FAKE_CLOSE,  /* read the request, then close */
	FAKE_HANG,   /* read the request and never answer */
};

struct fake_step {
	enum fake_action action;
	int status;
	const char *headers; /* "Name: value\r\n"..., or NULL */
	const char *body;
};

#define FAKE_REQUESTS_MAX 16
#define FAKE_REQUEST_SIZE 16384 /* kept for the test to look at */

struct fake_server {
	struct ev_loop *loop;
	ev_io accept;
	int port;
	char url[64];
	const struct fake_step *steps;
	size_t n;
	unsigned connections, requests;
	char request[FAKE_REQUESTS_MAX][FAKE_REQUEST_SIZE];
	struct fake_connection *open;
};

struct fake_connection {
	struct fake_connection *next;
	struct fake_server *server;
	ev_io io;
	char *text;
	size_t len, size;
};

/* The text behind a header's name, NULL without it. */
static inline const char *
fake_find_header(const char *request, const char *name)
{
	size_t len = strlen(name);
	const char *line;

	for (line = strstr(request, "\r\n"); line != NULL;
	     line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0 &&
		    line[2 + len] == ':')
			return line + 2 + len + 1;
	return NULL;
}

static inline void
fake_connection_close(struct fake_connection *connection)
{
	struct fake_connection **link = &connection->server->open;

	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	ev_io_stop(connection->server->loop, &connection->io);
	close(connection->io.fd);
	free(connection->text);
	free(connection);
}

static inline void
fake_write(int fd, const char *text, size_t len)
{
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n) {
		n = send(fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
	}
}

/* Length of the whole request in the buffer, 0 while it is not whole. */
static inline size_t
fake_request_len(const struct fake_connection *connection)
{
	const char *end = strstr(connection->text, "\r\n\r\n");
	const char *length =
	    fake_find_header(connection->text, "Content-Length");
	size_t len;

	if (end == NULL)
		return 0;
	len = (size_t)(end + 4 - connection->text);
	if (length != NULL && length < end)
		len += (size_t)strtoul(length, NULL, 10);
	return connection->len >= len ? len : 0;
}

static inline void
fake_serve(struct fake_connection *connection, size_t len)
{
	struct fake_server *server = connection->server;
	unsigned i = server->requests++;
	const struct fake_step *step =
	    &server->steps[i < server->n ? i : server->n - 1];
	char head[1024];
	int n;

	if (i < FAKE_REQUESTS_MAX)
		snprintf(server->request[i], FAKE_REQUEST_SIZE, "%.*s",
		    (int)(len < FAKE_REQUEST_SIZE ? len
						  : FAKE_REQUEST_SIZE - 1),
		    connection->text);
	connection->len = 0;
	if (step->action == FAKE_HANG)
		return;
	if (step->action == FAKE_ANSWER) {
		n = snprintf(head, sizeof(head),
		    "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n",
		    step->status, strlen(step->body),
		    step->headers == NULL ? "" : step->headers);
		fake_write(connection->io.fd, head, (size_t)n);
	}
	if (step->action != FAKE_CLOSE)
		fake_write(connection->io.fd, step->body, strlen(step->body));
	if (step->action != FAKE_ANSWER)
		fake_connection_close(connection);
}

static inline void
fake_on_read(struct ev_loop *loop, ev_io *io, int revents)
{
	struct fake_connection *connection = io->data;
	ssize_t n;
	size_t len;

	(void)loop;
	(void)revents;
	if (connection->size - connection->len < 65536) {
		connection->size = 2 * connection->size + 131072;
		connection->text = realloc(connection->text, connection->size);
		if (connection->text == NULL)
			abort();
	}
	n = recv(io->fd, connection->text + connection->len, 65535, 0);
	if (n <= 0) {
		fake_connection_close(connection);
		return;
	}
	connection->len += (size_t)n;
	connection->text[connection->len] = '\0';
	len = fake_request_len(connection);
	if (len > 0)
		fake_serve(connection, len);
}

static inline void
fake_on_accept(struct ev_loop *loop, ev_io *io, int revents)
{
	struct fake_server *server = io->data;
	struct fake_connection *connection = calloc(1, sizeof(*connection));
	int fd = accept(io->fd, NULL, NULL);

	(void)revents;
	if (fd < 0 || connection == NULL)
		abort();
	server->connections++;
	connection->server = server;
	connection->next = server->open;
	server->open = connection;
	ev_io_init(&connection->io, fake_on_read, fd, EV_READ);
	connection->io.data = connection;
	ev_io_start(loop, &connection->io);
}

static inline void
fake_start(struct fake_server *server, struct ev_loop *loop,
    const struct fake_step *steps, size_t n)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(server, 0, sizeof(*server));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
	    listen(fd, 16) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) != 0)
		abort();
	server->loop = loop;
	server->steps = steps;
	server->n = n;
	server->port = ntohs(address.sin_port);
	snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%d/",
	    server->port);
	ev_io_init(&server->accept, fake_on_accept, fd, EV_READ);
	server->accept.data = server;
	ev_io_start(loop, &server->accept);
}

static inline void
fake_stop(struct fake_server *server)
{
	while (server->open != NULL)
		fake_connection_close(server->open);
	ev_io_stop(server->loop, &server->accept);
	close(server->accept.fd);
}

/* The value of a header in a kept request ("" without it). */
static inline const char *
fake_header(const char *request, const char *name, char *out, size_t size)
{
	const char *at = fake_find_header(request, name);

	out[0] = '\0';
	if (at != NULL) {
		at += strspn(at, " ");
		snprintf(out, size, "%.*s", (int)strcspn(at, "\r"), at);
	}
	return out;
}

#endif
