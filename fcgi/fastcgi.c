/*
 * FastCGI connections on an event loop.  Nothing here waits for a peer: what
 * has come of a request is kept until the rest has, and a peer that takes too
 * long for it, or does not read its reply, loses its connection and costs
 * nobody else anything.
 */
#define _GNU_SOURCE /* accept4 */
#include "fastcgi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "handover.h"
#include "log.h"
#include "record.h"
#include "text.h"

#define REQUEST_SECONDS 5.0 /* from the first byte of a request to its last */
#define SWEEP_SECONDS 1.0
#define ACCEPTS_PER_TURN 64  /* then let the requests have their turn */
#define PAUSE 1.0	     /* seconds without accepting after EMFILE */
#define HANDOVER_SECONDS 2.0 /* then kept connections are closed */
#define HANDOVER_TICK 0.02
#define HEAD_MAX 1024 /* bytes of status and headers */

struct connection {
	struct exchange exchange; /* first: a reply finds its connection */
	LIST_ENTRY(connection) link;
	struct fastcgi *edge;
	ev_io readable;
	int fd;
	int request_id;
	bool is_new; /* nothing was read here yet */
	bool keep;   /* after the reply */
	bool busy;   /* a request is under way: what arrives is not a new one */
	uint8_t *partial; /* what has come of a request, or NULL */
	size_t partial_len;
	double partial_since; /* clock_seconds() */
};

struct fastcgi {
	struct ev_loop *loop;
	struct fastcgi_options options;
	LIST_HEAD(, connection) connections;
	unsigned count;
	ev_io acceptable;
	ev_timer pause;
	ev_timer sweep;
	ev_io handed; /* connections from a process that leaves */
	ev_timer drain_tick;
	double drain_until;
	bool draining;
	bool has_successor; /* while draining */
};

static void
resume_accepting(struct fastcgi *edge)
{
	if (!edge->draining && edge->count < edge->options.max_connections &&
	    !ev_is_active(&edge->pause)) {
		ev_io_start(edge->loop, &edge->acceptable);
		ev_io_start(edge->loop, &edge->handed);
	}
}

static void
connection_close(struct connection *c)
{
	struct fastcgi *edge = c->edge;

	ev_io_stop(edge->loop, &c->readable);
	LIST_REMOVE(c, link);
	edge->count--;
	close(c->fd);
	free(c->partial);
	free(c);
	resume_accepting(edge);
	if (edge->draining && edge->count == 0)
		ev_feed_event(edge->loop, &edge->drain_tick, EV_TIMER);
}

/* --- Requests --- */

/* What outlives the call of the handler moves into the connection. */
static void
begin_exchange(struct connection *c, const struct record_request *request)
{
	struct exchange *x = &c->exchange;

	memset(x, 0, sizeof(*x));
	x->started = clock_seconds();
	x->responder = c->edge->options.responder;
	memcpy(x->method, request->method, sizeof(x->method));
	memcpy(x->path, request->path, sizeof(x->path));
	x->content_type = request->content_type;
	x->authorization = request->authorization;
	x->idempotency_key = request->idempotency_key;
	x->body = request->body;
	x->body_len = request->body_len;
	x->body_too_large = request->body_too_large;
	c->request_id = request->id;
	c->keep = request->keep;
	c->busy = true;
}

static bool
keep_partial(struct connection *c, const uint8_t *data, size_t len)
{
	if (c->partial == NULL) {
		c->partial = malloc(REQUEST_MAX);
		if (c->partial == NULL)
			return false;
		c->partial_since = clock_seconds();
	}
	if (data != c->partial)
		memcpy(c->partial, data, len);
	c->partial_len = len;
	return true;
}

static void
drop_partial(struct connection *c)
{
	free(c->partial);
	c->partial = NULL;
	c->partial_len = 0;
}

/* All that has come since the last request; data is a connection's own
 * partial, or the buffer that all of them share. */
static void
take_bytes(struct connection *c, const uint8_t *data, size_t len)
{
	static struct record_request request;

	switch (record_read_request(data, len, &request)) {
	case RECORD_WHOLE:
		drop_partial(c);
		begin_exchange(c, &request);
		c->edge->options.handler(&c->exchange);
		return;
	case RECORD_PARTIAL:
		if (keep_partial(c, data, len))
			return;
		/* FALLTHROUGH */
	case RECORD_BAD:
		connection_close(c);
	}
}

static void connection_new(struct fastcgi *, int fd);

/* What comes first may be no request, but a connection that a responder of
 * before has left in the queue. */
static ssize_t
read_first(struct connection *c, uint8_t *buffer)
{
	int passed;
	ssize_t n = handover_read(c->fd, buffer, REQUEST_MAX, &passed);

	c->is_new = n < 0;
	if (passed < 0)
		return n;
	if (handover_is_sound(passed))
		connection_new(c->edge, passed);
	else
		close(passed);
	return 0; /* its carrier is not needed any more */
}

static void
on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
	static uint8_t shared[REQUEST_MAX];
	struct connection *c = watcher->data;
	uint8_t *buffer = c->partial != NULL ? c->partial : shared;
	ssize_t n;

	(void)events;
	/* Until the reply nothing more is read: what comes now is the web
	 * server closing because its client left.  That is rare; to stop
	 * watching only then spares each request two system calls. */
	if (c->busy) {
		ev_io_stop(loop, watcher);
		return;
	}
	if (c->is_new)
		n = read_first(c, buffer);
	else
		n = recv(c->fd, buffer + c->partial_len,
		    REQUEST_MAX - c->partial_len, MSG_DONTWAIT);
	if (n > 0)
		take_bytes(c, buffer, c->partial_len + (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		connection_close(c);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct fastcgi *edge = timer->data;
	struct connection *c = LIST_FIRST(&edge->connections), *next;
	double limit = clock_seconds() - REQUEST_SECONDS;

	(void)loop;
	(void)events;
	for (; c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->partial != NULL && c->partial_since < limit)
			connection_close(c);
	}
}

/* --- Connections --- */

static void
connection_new(struct fastcgi *edge, int fd)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return;
	}
	c->edge = edge;
	c->fd = fd;
	c->is_new = true;
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

	(void)events;
	while (edge->count < edge->options.max_connections) {
		fd = handover_receive(watcher->fd);
		if (fd < 0)
			return;
		connection_new(edge, fd);
	}
	ev_io_stop(loop, watcher); /* another responder may have room */
}

/* --- Leaving --- */

/* A request that has come already: it would be lost with the connection. */
static bool
has_input(const struct connection *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Let go of an idle connection.  False when that cannot be just now: there is
 * no room in the channel, or a last request to be answered. */
static bool
hand_over(struct connection *c)
{
	const struct fastcgi_options *options = &c->edge->options;

	if (!handover_enqueue(options->listen_fd, c->fd)) {
		bool passed = c->edge->has_successor &&
			      handover_send(options->handover[0], c->fd);

		if (!passed && (c->edge->has_successor || has_input(c)))
			return false;
	}
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
		if (c->busy || c->partial != NULL ||
		    (!too_late && hand_over(c)))
			continue;
		if (!too_late)
			continue; /* at the next tick */
		connection_close(c);
	}
	if (edge->count == 0 && ev_is_active(timer)) {
		ev_timer_stop(loop, timer);
		edge->options.drained(edge->options.responder);
	}
}

void
fastcgi_drain(struct fastcgi *edge, bool has_successor)
{
	edge->draining = true;
	edge->has_successor = has_successor;
	edge->drain_until = clock_seconds() + HANDOVER_SECONDS;
	ev_io_stop(edge->loop, &edge->acceptable);
	ev_io_stop(edge->loop, &edge->handed);
	ev_timer_stop(edge->loop, &edge->pause);
	ev_timer_set(&edge->drain_tick, 0., HANDOVER_TICK);
	ev_timer_start(edge->loop, &edge->drain_tick);
}

/* --- Replying --- */

static const char *
status_line(int status)
{
	static const struct {
		int status;
		const char *line;
	} lines[] = {
	    {200, "Status: 200 OK\r\n"},
	    {202, "Status: 202 Accepted\r\n"},
	    {400, "Status: 400 Bad Request\r\n"},
	    {401, "Status: 401 Unauthorized\r\n"},
	    {404, "Status: 404 Not Found\r\n"},
	    {405, "Status: 405 Method Not Allowed\r\n"},
	    {409, "Status: 409 Conflict\r\n"},
	    {413, "Status: 413 Content Too Large\r\n"},
	    {415, "Status: 415 Unsupported Media Type\r\n"},
	    {422, "Status: 422 Unprocessable Content\r\n"},
	    {503, "Status: 503 Service Unavailable\r\n"},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (lines[i].status == status)
			return lines[i].line;
	return "Status: 500 Internal Server Error\r\n";
}

static void
compose_head(struct text *t, int status, const char *content_type,
    const char *headers, size_t body_len)
{
	text_add(t, status_line(status));
	text_add(t, "Content-Type: ");
	text_add(t, content_type);
	text_add(t, "\r\nContent-Length: ");
	text_add_number(t, (int64_t)body_len);
	text_add(t, "\r\n");
	text_add(t, headers);
	text_add(t, "\r\n");
}

/* A reply fits into the socket's buffer.  A peer for which it does not has
 * not read the replies before, and loses its connection. */
static bool
write_all(int fd, const uint8_t *data, size_t len)
{
	return send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

void
fastcgi_reply(struct exchange *x, int status, const char *content_type,
    const char *headers, const char *body, size_t body_len)
{
	static uint8_t records[RECORD_REPLY_SIZE(HEAD_MAX + REPLY_MAX)];
	struct connection *c = (struct connection *)x;
	struct fastcgi *edge = c->edge;
	bool kept = c->keep;
	bool no_body = strcmp(x->method, "HEAD") == 0;
	char buf[HEAD_MAX];
	struct text head;

	text_begin(&head, buf, sizeof(buf));
	compose_head(&head, status, content_type, headers, body_len);
	kept &= write_all(c->fd, records,
	    record_reply(records, c->request_id, buf, text_len(&head), body,
		no_body ? 0 : body_len));
	c->busy = false;
	if (!kept)
		connection_close(c);
	else if (!edge->draining || !hand_over(c))
		ev_io_start(edge->loop, &c->readable);
}

/* --- Starting --- */

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
	ev_timer_init(&edge->sweep, on_sweep, SWEEP_SECONDS, SWEEP_SECONDS);
	edge->acceptable.data = edge->handed.data = edge;
	edge->pause.data = edge->drain_tick.data = edge->sweep.data = edge;
	ev_io_start(loop, &edge->acceptable);
	ev_io_start(loop, &edge->handed);
	ev_timer_start(loop, &edge->sweep);
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
	ev_timer_stop(edge->loop, &edge->sweep);
	free(edge);
}

unsigned
fastcgi_connections(const struct fastcgi *edge)
{
	return edge->count;
}
