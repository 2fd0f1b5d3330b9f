/*
 * The crowd.  A buyer is one connection; its life: closed -> connecting ->
 * waiting (for the doors) -> busy (a request is out) -> busy with the next
 * one, without leaving the loop's turn.  With a rate, those that wait for
 * their next request stand in line, the one that waits longest first.  Knows
 * nothing of outcomes.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <ev.h>

#include "message.h"

#include "answer.h"
#include "progress.h"
#include "rush.h"

#define NS 1000000000ULL /* in a second */

/*
 * Handshakes under way at a time while the crowd gathers: well below the 511
 * that web servers keep in line by default, since one too many costs a whole
 * second of TCP retransmission.
 */
#define GATHERING_MAX 128
#define TICK_NS 200000	   /* between two looks at what is due, at the least */
#define RETRY_SECONDS 0.05 /* before connecting again after a failure */
#define REQUEST_MAX 2048
#define DIGITS 8 /* of a request's number: TALLY_REQUESTS_MAX has as many */

enum buyer_state { CLOSED, CONNECTING, WAITING, BUSY };

struct rush;

struct buyer {
	struct rush *rush;
	struct ev_io io;
	struct ev_timer retry;
	enum buyer_state state;
	bool gathered;	 /* its first handshake is over, well or not */
	bool in_line;	 /* for a request that is not due yet */
	uint64_t since;	 /* start of the request or handshake, in ns */
	uint64_t due;	 /* when the request should have started, in ns */
	uint32_t number; /* of the request, 0... */
	size_t written;	 /* bytes of the request */
	struct answer answer;
};

/* Every request has the same length: only the digits in it change. */
struct template
{
	char text[REQUEST_MAX];
	size_t len;
	size_t user_at; /* where the digits of the user's number begin */
	size_t key_at;	/* and the request's; 0 without a key */
};

struct rush {
	const struct rush_plan *plan;
	struct tally *tally;
	struct ev_loop *loop;
	struct ev_timer clock;	  /* progress */
	struct ev_timer watchdog; /* time limits */
	struct ev_signal interrupt, terminate;
	struct ev_io tick; /* a timerfd: libev's own timers are too coarse */
	struct template template;
	struct buyer *buyers;
	struct buyer **line; /* a ring of as many places as there are buyers */
	uint32_t line_head, line_len;
	uint32_t opened;   /* buyers sent to the doors */
	uint32_t gathered; /* buyers who arrived, or failed to */
	uint32_t started, finished;
	bool doors_open, interrupted;
	uint64_t opened_at, ended_at; /* ns */
	char scratch[65536];	      /* what a read brought */
};

static void connect_buyer(struct buyer *);
static void send_next(struct buyer *);

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/* --- The request --- */

/* Users are new in every run: a second attack brings other buyers. */
static void
name_run(char *run, size_t size)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	snprintf(run, size, "buyer-%" PRIx64 "-%x-",
	    (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000,
	    (unsigned)getpid());
}

static void
make_template(struct template *t, const struct rush_plan *plan)
{
	char run[64], key[128] = "", body[256];
	const char *found;
	int len;

	name_run(run, sizeof(run));
	snprintf(body, sizeof(body), "{\"userId\":\"%s%0*d\",\"quantity\":%u}",
	    run, DIGITS, 0, plan->quantity);
	if (plan->keys)
		snprintf(key, sizeof(key), "Idempotency-Key: %s%0*d\r\n", run,
		    DIGITS, 0);
	len = snprintf(t->text, sizeof(t->text),
	    "POST %s/buy/%s HTTP/1.1\r\n"
	    "Host: %s\r\n"
	    "Content-Type: application/json\r\n"
	    "Content-Length: %zu\r\n"
	    "%s\r\n%s",
	    plan->target->prefix, plan->sku, plan->target->authority,
	    strlen(body), key, body);
	t->len = (size_t)len; /* its parts are bounded: it fits */
	found = strstr(t->text, "\"userId\":\"");
	t->user_at = (size_t)(found - t->text) + 10 + strlen(run);
	found = strstr(t->text, "Idempotency-Key: ");
	t->key_at =
	    found == NULL ? 0 : (size_t)(found - t->text) + 17 + strlen(run);
}

static void
put_digits(char *at, uint32_t number)
{
	int i;

	for (i = DIGITS - 1; i >= 0; i--, number /= 10)
		at[i] = (char)('0' + number % 10);
}

/* The text of the buyer's request: valid until the next call. */
static const char *
fill_template(struct buyer *b)
{
	struct template *t = &b->rush->template;

	put_digits(t->text + t->user_at, b->number % b->rush->plan->users);
	if (t->key_at != 0)
		put_digits(t->text + t->key_at, b->number);
	return t->text;
}

/* --- With a rate --- */

static bool
is_due(const struct rush *r, uint32_t number, uint64_t now)
{
	uint64_t rate = r->plan->rate;

	return rate == 0 || now - r->opened_at >= number * NS / rate;
}

static void
stand_in_line(struct buyer *b)
{
	struct rush *r = b->rush;

	if (b->in_line)
		return;
	b->in_line = true;
	r->line[(r->line_head + r->line_len++) % r->plan->connections] = b;
}

/* Whatever is due, as long as there is somebody to send it. */
static void
on_tick(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct rush *r = io->data;
	uint64_t ticks;

	(void)loop;
	(void)events;
	if (read(io->fd, &ticks, sizeof(ticks)) < 0)
		return;
	while (r->line_len > 0 && is_due(r, r->started, now_ns())) {
		struct buyer *b = r->line[r->line_head];

		r->line_head = (r->line_head + 1) % r->plan->connections;
		r->line_len--;
		b->in_line = false;
		if (b->state == WAITING)
			send_next(b);
	}
}

static enum err
start_ticking(struct rush *r)
{
	uint64_t ns = NS / r->plan->rate;
	struct timespec each = {.tv_nsec = TICK_NS};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0)
		return ERR_NOMEM;
	if (ns > TICK_NS) {
		each.tv_sec = (time_t)(ns / NS);
		each.tv_nsec = (long)(ns % NS);
	}
	ev_io_init(&r->tick, on_tick, fd, EV_READ);
	r->tick.data = r;
	ev_io_start(r->loop, &r->tick);
	timerfd_settime(fd, 0,
	    &(struct itimerspec){.it_interval = each, .it_value = each}, NULL);
	return ERR_OK;
}

static void
stop_ticking(struct rush *r)
{
	ev_io_stop(r->loop, &r->tick);
	close(r->tick.fd);
}

/* --- A buyer's connection --- */

static void
listen_for(struct buyer *b, int events)
{
	int fd = b->io.fd;

	if ((b->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(b->rush->loop, &b->io);
	ev_io_set(&b->io, fd, events);
	ev_io_start(b->rush->loop, &b->io);
}

static void
close_buyer(struct buyer *b)
{
	if (b->state == CLOSED)
		return;
	ev_io_stop(b->rush->loop, &b->io);
	close(b->io.fd);
	b->state = CLOSED;
}

/* Close, and connect anew a little later: a dead server is not hammered. */
static void
come_again(struct buyer *b)
{
	close_buyer(b);
	ev_timer_again(b->rush->loop, &b->retry);
}

static void
end_when_finished(struct rush *r)
{
	if (r->finished < r->plan->requests)
		return;
	r->ended_at = now_ns();
	ev_break(r->loop, EVBREAK_ALL);
}

/* All have come: off they go. */
static void
open_doors(struct rush *r)
{
	uint32_t i;

	r->doors_open = true;
	r->opened_at = now_ns();
	for (i = 0; i < r->plan->connections; i++)
		if (r->buyers[i].state == WAITING)
			send_next(&r->buyers[i]);
}

/* A first handshake is over: bring the next buyer, or open the doors. */
static void
count_gathered(struct buyer *b)
{
	struct rush *r = b->rush;

	if (b->gathered)
		return;
	b->gathered = true;
	r->gathered++;
	if (r->opened < r->plan->connections)
		connect_buyer(&r->buyers[r->opened++]);
	else if (r->gathered == r->plan->connections)
		open_doors(r);
}

/*
 * The request failed, or the connection on which it would have gone: count
 * it, and come again a little later.
 */
static void
fail_buyer(struct buyer *b, const char *why)
{
	struct rush *r = b->rush;

	if (b->state != BUSY && r->started == r->plan->requests) {
		close_buyer(b); /* nothing was left for it anyway */
		return;
	}
	if (b->state != BUSY && !is_due(r, r->started, now_ns())) {
		come_again(b);
		return;
	}
	if (b->state != BUSY)
		r->started++; /* it uses up its turn without being sent */
	tally_failure(r->tally, why);
	r->finished++;
	come_again(b);
	end_when_finished(r);
}

/* A failed handshake while the crowd gathers costs no request yet. */
static void
fail_connecting(struct buyer *b, int error)
{
	char why[TALLY_CODE_MAX + 1];

	if (b->rush->doors_open) {
		snprintf(why, sizeof(why), "connect: %s", strerror(error));
		fail_buyer(b, why);
		return;
	}
	come_again(b);
	count_gathered(b);
}

static void
fail_answer(struct buyer *b, const char *why)
{
	if (b->state == BUSY) {
		fail_buyer(b, why);
		return;
	}
	/* Closed between two requests, which is their right. */
	come_again(b);
}

static void
finish_answer(struct buyer *b)
{
	struct rush *r = b->rush;
	uint64_t took = (now_ns() - b->due) / 1000;

	tally_answer(r->tally, b->answer.status, b->answer.body,
	    b->answer.body_len,
	    took > UINT32_MAX ? UINT32_MAX : (uint32_t)took);
	r->finished++;
	b->state = WAITING;
	if (!b->answer.keep_alive) {
		close_buyer(b);
		if (r->started < r->plan->requests)
			connect_buyer(b);
	} else {
		send_next(b);
	}
	end_when_finished(r);
}

/* Write what the request still lacks. */
static void
flush_request(struct buyer *b)
{
	const char *text = fill_template(b);
	size_t len = b->rush->template.len;
	ssize_t n;

	n = send(b->io.fd, text + b->written, len - b->written, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		fail_answer(b, strerror(errno));
		return;
	}
	b->written += n < 0 ? 0 : (size_t)n;
	listen_for(b, b->written < len ? EV_READ | EV_WRITE : EV_READ);
}

/* The buyer's next purchase, if there is one left, as soon as it is due. */
static void
send_next(struct buyer *b)
{
	struct rush *r = b->rush;

	if (r->started == r->plan->requests) {
		close_buyer(b);
		return;
	}
	b->since = now_ns();
	if (!is_due(r, r->started, b->since)) {
		stand_in_line(b);
		return;
	}
	b->number = r->started++;
	b->state = BUSY;
	b->written = 0;
	b->due = r->plan->rate == 0
		     ? b->since
		     : r->opened_at + b->number * NS / r->plan->rate;
	answer_start(&b->answer);
	flush_request(b);
}

static void
read_bytes(struct buyer *b, size_t n)
{
	size_t used;

	if (b->state != BUSY) {
		fail_answer(b, "an answer nobody asked for");
		return;
	}
	switch (answer_feed(&b->answer, b->rush->scratch, n, &used)) {
	case ANSWER_MORE:
		return;
	case ANSWER_DONE:
		/* Bytes behind the answer: this connection is out of step. */
		if (used < n)
			b->answer.keep_alive = false;
		finish_answer(b);
		return;
	case ANSWER_BAD:
		fail_answer(b, "the answer is not HTTP, or too large");
		return;
	}
}

static void
read_answer(struct buyer *b)
{
	ssize_t n =
	    recv(b->io.fd, b->rush->scratch, sizeof(b->rush->scratch), 0);

	if (n > 0)
		read_bytes(b, (size_t)n);
	else if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	else if (n == 0 && b->state == BUSY &&
		 answer_complete_at_close(&b->answer))
		finish_answer(b);
	else
		fail_answer(b, n < 0 ? strerror(errno)
				     : "connection closed without an answer");
}

static void
finish_connecting(struct buyer *b)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(b->io.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		fail_connecting(b, error);
		return;
	}
	b->state = WAITING;
	listen_for(b, EV_READ);
	if (b->rush->doors_open)
		send_next(b);
	else
		count_gathered(b);
}

static void
on_io(struct ev_loop *loop, struct ev_io *io, int events)
{
	struct buyer *b = io->data;

	(void)loop;
	if (b->state == CONNECTING)
		finish_connecting(b);
	else if (events & EV_READ)
		read_answer(b);
	else
		flush_request(b);
}

/* A non-blocking socket on its way to the target; -1 with errno. */
static int
start_connecting(const struct target *t)
{
	int fd = socket(t->address.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, saved;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)&t->address, t->address_len) ==
		0 ||
	    errno == EINPROGRESS)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static void
connect_buyer(struct buyer *b)
{
	int fd = start_connecting(b->rush->plan->target);

	if (fd < 0) {
		fail_connecting(b, errno);
		return;
	}
	b->state = CONNECTING;
	b->since = now_ns();
	ev_io_init(&b->io, on_io, fd, EV_WRITE);
	b->io.data = b;
	ev_io_start(b->rush->loop, &b->io);
}

static void
on_retry(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct buyer *b = timer->data;

	(void)events;
	ev_timer_stop(loop, timer);
	if (b->state == CLOSED && b->rush->started < b->rush->plan->requests)
		connect_buyer(b);
}

/* --- The run --- */

static void
on_clock(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	const struct rush *r = timer->data;
	double seconds = (double)(now_ns() - r->opened_at) / 1e9;

	(void)loop;
	(void)events;
	if (!r->doors_open)
		progress_draw(r->gathered, r->plan->connections,
		    "%u of %u connections", r->gathered, r->plan->connections);
	else
		progress_draw(r->finished, r->plan->requests,
		    "%u of %u requests, %.0f/s", r->finished, r->plan->requests,
		    r->finished / seconds);
}

static void
on_watchdog(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	struct rush *r = timer->data;
	uint64_t limit = (uint64_t)r->plan->timeout_s * NS;
	uint64_t now = now_ns();
	uint32_t i;

	(void)loop;
	(void)events;
	for (i = 0; i < r->opened; i++) {
		struct buyer *b = &r->buyers[i];

		if (now - b->since <= limit)
			continue;
		if (b->state == CONNECTING)
			fail_connecting(b, ETIMEDOUT);
		else if (b->state == BUSY)
			fail_answer(b, "no answer in time");
	}
}

static void
on_signal(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
	struct rush *r = watcher->data;

	(void)events;
	r->interrupted = true;
	r->ended_at = now_ns();
	ev_break(loop, EVBREAK_ALL);
}

static void
start_watchers(struct rush *r)
{
	ev_timer_init(&r->clock, on_clock, 0.1, 0.1);
	r->clock.data = r;
	ev_timer_start(r->loop, &r->clock);
	ev_timer_init(&r->watchdog, on_watchdog, 0.5, 0.5);
	r->watchdog.data = r;
	ev_timer_start(r->loop, &r->watchdog);
	ev_signal_init(&r->interrupt, on_signal, SIGINT);
	r->interrupt.data = r;
	ev_signal_start(r->loop, &r->interrupt);
	ev_signal_init(&r->terminate, on_signal, SIGTERM);
	r->terminate.data = r;
	ev_signal_start(r->loop, &r->terminate);
}

static void
stop_watchers(struct rush *r)
{
	ev_timer_stop(r->loop, &r->clock);
	ev_timer_stop(r->loop, &r->watchdog);
	ev_signal_stop(r->loop, &r->interrupt);
	ev_signal_stop(r->loop, &r->terminate);
}

static void
gather(struct rush *r)
{
	uint32_t i, first = r->plan->connections;

	for (i = 0; i < r->plan->connections; i++) {
		struct buyer *b = &r->buyers[i];

		b->rush = r;
		ev_timer_init(&b->retry, on_retry, 0, RETRY_SECONDS);
		b->retry.data = b;
	}
	if (first > GATHERING_MAX)
		first = GATHERING_MAX;
	/* A handshake that fails at once already counts up opened. */
	while (r->opened < first)
		connect_buyer(&r->buyers[r->opened++]);
}

static void
disperse(struct rush *r)
{
	uint32_t i;

	for (i = 0; i < r->opened; i++) {
		ev_timer_stop(r->loop, &r->buyers[i].retry);
		close_buyer(&r->buyers[i]);
	}
}

static void
go(struct rush *r)
{
	make_template(&r->template, r->plan);
	start_watchers(r);
	gather(r);
	ev_run(r->loop, 0);
	progress_clear();
	disperse(r);
	stop_watchers(r);
}

static void
write_result(const struct rush *r, struct rush_result *result)
{
	result->finished = r->finished;
	result->interrupted = r->interrupted;
	result->seconds =
	    r->doors_open ? (double)(r->ended_at - r->opened_at) / 1e9 : 0;
}

enum err
rush_run(const struct rush_plan *plan, struct tally *tally,
    struct rush_result *result)
{
	struct rush *r = calloc(1, sizeof(*r));
	enum err err = ERR_NOMEM;

	if (r == NULL)
		return ERR_NOMEM;
	r->plan = plan;
	r->tally = tally;
	r->loop = ev_default_loop(EVFLAG_AUTO);
	r->buyers = calloc(plan->connections, sizeof(*r->buyers));
	r->line = calloc(plan->connections, sizeof(struct buyer *));
	if (r->loop != NULL && r->buyers != NULL && r->line != NULL)
		err = plan->rate == 0 ? ERR_OK : start_ticking(r);
	if (err == ERR_OK) {
		go(r);
		write_result(r, result);
	}
	if (err == ERR_OK && plan->rate != 0)
		stop_ticking(r);
	free(r->line);
	free(r->buyers);
	free(r);
	return err;
}
