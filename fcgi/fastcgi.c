/*
 * libfcgi on an event loop.  The library is made for a process that blocks
 * in FCGX_Accept_r() with one connection at a time.  Here the connections
 * are ours: we accept them, give one to the library when it has something to
 * read, and write the reply ourselves.  That uses fields of FCGX_Request which
 * fcgiapp.h calls internal (ipcFd, keepConnection, ...): they are touched in
 * this file alone, and tests/unit/test_fastcgi.c fails if a new libfcgi
 * treats them otherwise.
 *
 * A web server writes a request whole, so reading one does not wait; should
 * a peer stop in the middle, the socket's time limit ends it.
 */
#define _GNU_SOURCE /* accept4 */
#include "fastcgi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <fcgiapp.h>

#include "clock.h"
#include "handover.h"
#include "log.h"
#include "record.h"

#define IO_SECONDS 2	      /* a peer that stalls in mid-request is cut */
#define ACCEPTS_PER_TURN 64   /* then let the requests have their turn */
#define DISCARD_MAX (1 << 20) /* bytes of an oversized body read to its end */
#define PAUSE 1.0	      /* seconds without accepting after EMFILE */
#define HANDOVER_SECONDS 2.0  /* then kept connections are closed */
#define HANDOVER_TICK 0.02
#define HEAD_MAX 1024 /* bytes of status and headers */

struct connection {
	struct exchange exchange; /* first: a reply finds its connection */
	LIST_ENTRY(connection) link;
	struct fastcgi *edge;
	FCGX_Request request;
	ev_io readable;
	int fd;
	bool busy; /* a request is under way: what arrives is not a new one */
};

struct fastcgi {
	struct ev_loop *loop;
	struct fastcgi_options options;
	LIST_HEAD(, connection) connections;
	unsigned count;
	ev_io acceptable;
	ev_timer pause;
	ev_io handed; /* connections from a process that leaves */
	ev_timer drain_tick;
	double drain_until;
	bool draining;
};

static void
resume_accepting(struct fastcgi *edge)
{
	if (!edge->draining && edge->count < edge->options.max_connections &&
	    !ev_is_active(&edge->pause))
		ev_io_start(edge->loop, &edge->acceptable);
}

/* --- Connections --- */

static void
connection_close(struct connection *c)
{
	struct fastcgi *edge = c->edge;

	ev_io_stop(edge->loop, &c->readable);
	LIST_REMOVE(c, link);
	edge->count--;
	if (c->fd >= 0)
		close(c->fd);
	free(c);
	resume_accepting(edge);
	if (edge->draining && edge->count == 0)
		ev_feed_event(edge->loop, &edge->drain_tick, EV_TIMER);
}

static const char *
param(const FCGX_Request *request, const char *name)
{
	const char *value = FCGX_GetParam(name, request->envp);

	return value != NULL ? value : "";
}

/*
 * Read the body to its end, so that the connection is clean for the next
 * request; keep BODY_MAX bytes of it.  One buffer serves all connections,
 * because a handler is done with the body when it returns.
 * Returns false when the peer does not get to an end.
 */
static bool
read_body(struct connection *c)
{
	static char body[BODY_MAX + 1];
	static char rest[4096];
	struct exchange *x = &c->exchange;
	int n, total;

	n = total = FCGX_GetStr(body, BODY_MAX, c->request.in);
	while (n > 0 && total <= DISCARD_MAX) {
		n = FCGX_GetStr(rest, sizeof(rest), c->request.in);
		total += n;
		x->body_too_large |= n > 0;
	}
	x->body_len = total < BODY_MAX ? (size_t)total : BODY_MAX;
	body[x->body_len] = '\0';
	x->body = body;
	return n == 0 && FCGX_GetError(c->request.in) == 0;
}

static bool
read_request(struct connection *c)
{
	FCGX_Request *request = &c->request;
	struct exchange *x = &c->exchange;

	memset(x, 0, sizeof(*x));
	x->started = clock_seconds();
	request->ipcFd = c->fd;
	request->keepConnection = 1; /* or FCGX_Accept_r closes it first */
	request->detached = 1;	     /* or it waits 2 s for the peer to close */
	if (FCGX_Accept_r(request) != 0)
		return false;
	x->responder = c->edge->options.responder;
	x->method = param(request, "REQUEST_METHOD");
	x->path = param(request, "SCRIPT_NAME");
	x->content_type = param(request, "CONTENT_TYPE");
	x->authorization = param(request, "HTTP_AUTHORIZATION");
	x->idempotency_key = param(request, "HTTP_IDEMPOTENCY_KEY");
	if (!read_body(c))
		return false;
	/* 17 kB of buffers that a waiting request has no use for; the reply
	 * is written without them. The parameters stay. */
	FCGX_FreeStream(&request->in);
	FCGX_FreeStream(&request->out);
	FCGX_FreeStream(&request->err);
	return true;
}

static void
on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct connection *c = watcher->data;

	(void)events;
	/* Until the reply nothing more is read: what comes now is the web
	 * server closing because its client left, not a request. */
	ev_io_stop(loop, watcher);
	if (read_request(c)) {
		c->busy = true;
		c->edge->options.handler(&c->exchange);
		return;
	}
	if (c->request.ipcFd < 0)
		c->fd = -1; /* the library has closed it */
	FCGX_Free(&c->request, 0);
	connection_close(c);
}

static void
connection_new(struct fastcgi *edge, int fd)
{
	struct timeval limit = {.tv_sec = IO_SECONDS};
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL || FCGX_InitRequest(&c->request, -1, 0) != 0) {
		free(c);
		close(fd);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	c->edge = edge;
	c->fd = fd;
	c->request.ipcFd = fd;
	LIST_INSERT_HEAD(&edge->connections, c, link);
	edge->count++;
	ev_io_init(&c->readable, on_readable, fd, EV_READ);
	c->readable.data = c;
	ev_io_start(edge->loop, &c->readable);
}

/* --- Accepting --- */

static void
on_acceptable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct fastcgi *edge = watcher->data;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd;

		if (edge->count >= edge->options.max_connections) {
			ev_io_stop(loop, watcher);
			return;
		}
		fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			connection_new(edge, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			log_error("out of file descriptors: not accepting for "
				  "a second (raise LimitNOFILE)");
			ev_io_stop(loop, watcher);
			ev_timer_set(&edge->pause, PAUSE, 0.);
			ev_timer_start(loop, &edge->pause);
		}
		return; /* EAGAIN: another responder was faster */
	}
}

static void
on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)events;
	ev_timer_stop(loop, timer);
	resume_accepting(timer->data);
}

static void
on_handed(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct fastcgi *edge = watcher->data;
	int fd;

	(void)loop;
	(void)events;
	while ((fd = handover_receive(watcher->fd)) >= 0)
		connection_new(edge, fd);
}

/* --- Leaving --- */

/* False when there is no room in the channel just now. */
static bool
hand_over(struct connection *c)
{
	if (!handover_send(c->edge->options.handover[0], c->fd))
		return false;
	connection_close(c);
	return true;
}

static void
on_drain_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct fastcgi *edge = timer->data;
	struct connection *c = LIST_FIRST(&edge->connections), *next;
	bool too_late = clock_seconds() > edge->drain_until;

	(void)events;
	for (; c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->busy || (!too_late && hand_over(c)))
			continue;
		if (!too_late)
			break; /* no room: at the next tick */
		connection_close(c);
	}
	if (edge->count == 0 && ev_is_active(timer)) {
		ev_timer_stop(loop, timer);
		edge->options.drained(edge->options.responder);
	}
}

void
fastcgi_drain(struct fastcgi *edge)
{
	edge->draining = true;
	edge->drain_until = clock_seconds() + HANDOVER_SECONDS;
	ev_io_stop(edge->loop, &edge->acceptable);
	ev_io_stop(edge->loop, &edge->handed);
	ev_timer_stop(edge->loop, &edge->pause);
	ev_timer_set(&edge->drain_tick, 0., HANDOVER_TICK);
	ev_timer_start(edge->loop, &edge->drain_tick);
}

/* --- Replying --- */

static const char *
reason(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} reasons[] = {
	    {200, "OK"},
	    {202, "Accepted"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {409, "Conflict"},
	    {413, "Content Too Large"},
	    {415, "Unsupported Media Type"},
	    {422, "Unprocessable Content"},
	    {503, "Service Unavailable"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].phrase;
	return "Internal Server Error";
}

/* A reply fits into the socket's buffer; a peer that does not read is cut by
 * the socket's time limit. */
static bool
write_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

void
fastcgi_reply(struct exchange *x, int status, const char *content_type,
    const char *headers, const char *body, size_t body_len)
{
	static uint8_t records[RECORD_REPLY_SIZE(HEAD_MAX + REPLY_MAX)];
	struct connection *c = (struct connection *)x;
	struct fastcgi *edge = c->edge;
	bool kept = c->request.keepConnection != 0;
	bool no_body = strcmp(x->method, "HEAD") == 0;
	char head[HEAD_MAX];
	int n;

	n = snprintf(head, sizeof(head),
	    "Status: %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "%s\r\n",
	    status, reason(status), content_type, body_len, headers);
	kept &= write_all(c->fd, records,
	    record_reply(records, c->request.requestId, head, (size_t)n, body,
		no_body ? 0 : body_len));
	FCGX_Free(&c->request, 0);
	c->busy = false;
	if (!kept)
		connection_close(c);
	else if (!edge->draining || !hand_over(c))
		ev_io_start(edge->loop, &c->readable);
}

/* --- Starting --- */

void
fastcgi_init(void)
{
	if (FCGX_Init() != 0)
		fatal(EXIT_OSERR, "libfcgi does not start");
}

enum err
fastcgi_new(struct fastcgi **out, struct ev_loop *loop,
    const struct fastcgi_options *options)
{
	struct fastcgi *edge = calloc(1, sizeof(*edge));
	int flags = fcntl(options->listen_fd, F_GETFL);

	if (edge == NULL)
		return ERR_NOMEM;
	if (flags < 0 ||
	    fcntl(options->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		free(edge);
		return ERR_BAD_INPUT;
	}
	edge->loop = loop;
	edge->options = *options;
	LIST_INIT(&edge->connections);
	ev_io_init(
	    &edge->acceptable, on_acceptable, options->listen_fd, EV_READ);
	ev_io_init(&edge->handed, on_handed, options->handover[1], EV_READ);
	ev_init(&edge->pause, on_pause_over);
	ev_init(&edge->drain_tick, on_drain_tick);
	edge->acceptable.data = edge->handed.data = edge;
	edge->pause.data = edge->drain_tick.data = edge;
	ev_io_start(loop, &edge->acceptable);
	ev_io_start(loop, &edge->handed);
	*out = edge;
	return ERR_OK;
}

void
fastcgi_free(struct fastcgi *edge)
{
	ev_io_stop(edge->loop, &edge->acceptable);
	ev_io_stop(edge->loop, &edge->handed);
	ev_timer_stop(edge->loop, &edge->pause);
	ev_timer_stop(edge->loop, &edge->drain_tick);
	free(edge);
}

unsigned
fastcgi_connections(const struct fastcgi *edge)
{
	return edge->count;
}
