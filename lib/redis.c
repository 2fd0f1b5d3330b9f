/*
 * The Redis connection: hiredis' asynchronous API on libev, and around it
 * what it leaves to its user: reconnecting, time limits, scripts that the
 * server has forgotten, masters that become replicas.
 */
#include "redis.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

/* The adapter's functions are static in a header; not all are used. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <hiredis/adapters/libev.h>
#pragma GCC diagnostic pop

#include "clock.h"
#include "digest.h"
#include "log.h"
#include "redis_url.h"
#include "resp.h"
#include "sentinel.h"

#define BACKOFF_MIN 0.05 /* seconds until the first new try */
#define BACKOFF_MAX 2.0
#define LOOK_SECONDS 1.0 /* between two looks at its role */
#define OLDEST_MAJOR 6
#define OLDEST_MINOR 2
#define RUN_ID_SIZE 48
#define COMPLAINTS_MAX 5   /* log lines of one outage */
#define ARGUMENTS_MAX 2048 /* of one command */

enum state { DOWN, CONNECTING, READY };

/* A command on its way, in the order in which the answers will come. */
struct request {
	TAILQ_ENTRY(request) link;
	struct redis *redis;
	redis_fn *fn;
	void *arg;
	double deadline;
	struct redis_script *script; /* NULL, or what EVALSHA named */
	char *wire;   /* kept with a script, to send it as EVAL */
	int wire_len; /* bytes */
};
TAILQ_HEAD(requests, request);

struct redis {
	struct ev_loop *loop;
	struct redis_address address; /* no path, no host: not known yet */
	struct sentinel *sentinel;    /* who tells the address, or NULL */
	bool is_bare;		      /* ask nothing about it */
	char name[280];		      /* in the log */
	double timeout;		      /* seconds */
	enum state state;
	redisAsyncContext *context; /* NULL when DOWN */
	char complaint[96];	    /* the last one; "" = all is well */
	unsigned complaints;	    /* log lines of this outage */
	double listen_before;	    /* time limit of SUBSCRIBE; 0 = answered */
	bool trusted;
	char run_id[RUN_ID_SIZE];
	double backoff;
	ev_timer retry;	  /* while DOWN: time to connect */
	ev_timer overdue; /* connecting or the oldest command takes too long */
	ev_timer look;	  /* while READY */
	char *channel;	  /* subscribed to, or NULL */
	redis_message_fn *heard;
	void *heard_arg;
	struct requests waiting; /* for their answers */
	struct requests refused; /* never sent: to be told so */
	ev_timer tell_refused;
};

static void start_connecting(struct redis *);

/* --- The end of a connection --- */

/* The reason may change, as from a restart to a wrong password, or go to and
 * fro. */
static void
complain(struct redis *r, const char *why)
{
	if (strncmp(r->complaint, why, sizeof(r->complaint) - 1) == 0)
		return;
	if (r->complaints++ < COMPLAINTS_MAX)
		log_warn("%s: %s; trying again until it is back", r->name, why);
	snprintf(r->complaint, sizeof(r->complaint), "%s", why);
}

static void
go_down(struct redis *r, const char *why)
{
	complain(r, why);
	r->state = DOWN;
	r->listen_before = 0;
	r->run_id[0] = '\0';
	r->context = NULL;
	ev_timer_stop(r->loop, &r->overdue);
	ev_timer_stop(r->loop, &r->look);
	/* Jitter, so that all responders do not come back in one moment. */
	ev_timer_set(&r->retry, r->backoff * (0.5 + drand48()), 0.);
	ev_timer_start(r->loop, &r->retry);
	r->backoff =
	    r->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX : r->backoff * 2;
}

/* Cut it ourselves: hiredis then fails whatever is pending. */
static void
drop(struct redis *r, const char *why)
{
	redisAsyncContext *context = r->context;

	go_down(r, why);
	if (context != NULL) {
		context->data = NULL;
		redisAsyncFree(context);
	}
}

static void
on_disconnect(const redisAsyncContext *context, int status)
{
	struct redis *r = context->data;

	(void)status;
	if (r != NULL)
		go_down(r, context->err ? context->errstr : "hung up");
}

/* When the next answer is due, by clock_seconds(); 0 = none is awaited. */
static double
next_due(const struct redis *r)
{
	const struct request *oldest = TAILQ_FIRST(&r->waiting);

	return oldest != NULL ? oldest->deadline : r->listen_before;
}

static void
on_overdue(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct redis *r = timer->data;
	double due = next_due(r), left = due - clock_seconds();

	(void)events;
	if (due == 0 && r->state == READY)
		return;
	if (left > 0) {
		ev_timer_set(timer, left, 0.);
		ev_timer_start(loop, timer);
		return;
	}
	drop(r, r->state == READY ? "no answer within the time limit"
				  : "cannot connect within the time limit");
}

/* --- Requests --- */

static void
watch_deadline(struct redis *r)
{
	if (ev_is_active(&r->overdue))
		return;
	ev_timer_set(&r->overdue, r->timeout, 0.);
	ev_timer_start(r->loop, &r->overdue);
}

static void
finish(struct request *q, enum err err, const redisReply *reply)
{
	q->fn(err, (const struct redis_value *)reply, q->arg);
	free(q->wire);
	free(q);
}

static void
on_tell_refused(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct redis *r = timer->data;
	struct requests list = TAILQ_HEAD_INITIALIZER(list);
	struct request *q;

	(void)loop;
	(void)events;
	TAILQ_CONCAT(&list, &r->refused, link);
	while ((q = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, q, link);
		finish(q, ERR_UNAVAILABLE, NULL);
	}
}

/* Not sent. The caller learns it on the next turn of the loop. */
static void
refuse(struct redis *r, struct request *q)
{
	TAILQ_INSERT_TAIL(&r->refused, q, link);
	if (!ev_is_active(&r->tell_refused)) {
		ev_timer_set(&r->tell_refused, 0., 0.);
		ev_timer_start(r->loop, &r->tell_refused);
	}
}

static void on_reply(redisAsyncContext *, void *reply, void *request);

static bool
write_wire(struct redis *r, struct request *q, const char *wire, int len)
{
	if (redisAsyncFormattedCommand(
		r->context, on_reply, q, wire, (size_t)len) != REDIS_OK)
		return false;
	q->deadline = clock_seconds() + r->timeout;
	TAILQ_INSERT_TAIL(&r->waiting, q, link);
	watch_deadline(r);
	return true;
}

/*
 * The server does not know the script (restart, SCRIPT FLUSH): send the same
 * arguments as EVAL with its text, which teaches it the script as well.
 */
static bool
resend_as_eval(struct redis *r, struct request *q)
{
	size_t source_len = (size_t)(q->script->source_end - q->script->source);
	/* The words before the arguments: count, EVALSHA, digest. */
	const char *count_end = strstr(q->wire, "\r\n") + 2;
	const char *tail =
	    count_end + strlen("$7\r\nEVALSHA\r\n$40\r\n") + 40 + 2;
	size_t tail_len = (size_t)(q->wire + q->wire_len - tail);
	size_t size = (size_t)q->wire_len + source_len + 64, n;
	char *wire = malloc(size);
	bool sent;

	if (wire == NULL)
		return false;
	n = (size_t)snprintf(wire, size, "%.*s$4\r\nEVAL\r\n$%zu\r\n",
	    (int)(count_end - q->wire), q->wire, source_len);
	memcpy(wire + n, q->script->source, source_len);
	memcpy(wire + n + source_len, "\r\n", 2);
	memcpy(wire + n + source_len + 2, tail, tail_len);
	q->script = NULL; /* once is enough */
	sent = write_wire(r, q, wire, (int)(n + source_len + 2 + tail_len));
	free(wire);
	return sent;
}

static void
on_reply(redisAsyncContext *context, void *data, void *request)
{
	struct request *q = request;
	struct redis *r = q->redis;
	redisReply *reply = data;
	bool is_replica;

	TAILQ_REMOVE(&r->waiting, q, link);
	if (reply == NULL) {
		finish(q, ERR_TIMEOUT, NULL);
		return;
	}
	if (reply->type != REDIS_REPLY_ERROR) {
		finish(q, ERR_OK, reply);
		return;
	}
	if (q->script != NULL && strncmp(reply->str, "NOSCRIPT", 8) == 0) {
		if (!resend_as_eval(r, q))
			refuse(r, q);
		return;
	}
	is_replica = !r->is_bare && strncmp(reply->str, "READONLY", 8) == 0;
	finish(q, ERR_REFUSED, reply);
	if (is_replica && r->context == context)
		drop(r, "has become a replica");
}

static struct request *
request_new(struct redis *r, redis_fn *fn, void *arg)
{
	struct request *q = malloc(sizeof(*q));

	if (q == NULL)
		abort(); /* 80 bytes: nothing can be answered any more */
	*q = (struct request){.redis = r, .fn = fn, .arg = arg};
	return q;
}

static void
submit(struct redis *r, struct request *q, const struct redis_argument *args,
    size_t n, bool handshake)
{
	if (n > ARGUMENTS_MAX || (r->state != READY && !handshake)) {
		refuse(r, q);
		return;
	}
	q->wire = resp_format(args, n, &q->wire_len);
	if (q->wire == NULL || !write_wire(r, q, q->wire, q->wire_len)) {
		refuse(r, q);
		return;
	}
	if (q->script == NULL) {
		free(q->wire);
		q->wire = NULL;
	}
}

static void
call(struct redis *r, redis_fn *fn, void *arg, bool handshake, va_list words)
{
	struct redis_argument args[16];
	const char *word;
	size_t n = 0;

	while (n < 16 && (word = va_arg(words, const char *)) != NULL)
		args[n++] = (struct redis_argument){word, strlen(word)};
	submit(r, request_new(r, fn, arg), args, n, handshake);
}

void
redis_call(struct redis *r, redis_fn *fn, void *arg, ...)
{
	va_list words;

	va_start(words, arg);
	call(r, fn, arg, false, words);
	va_end(words);
}

void
redis_eval(struct redis *r, struct redis_script *script, size_t keys,
    const struct redis_argument *keys_and_args, size_t n, redis_fn *fn,
    void *arg)
{
	struct redis_argument args[ARGUMENTS_MAX];
	struct request *q = request_new(r, fn, arg);
	char count[24];

	if (script->sha1[0] == '\0')
		sha1_hex(script->source,
		    (size_t)(script->source_end - script->source),
		    script->sha1);
	if (n + 3 > ARGUMENTS_MAX) {
		refuse(r, q);
		return;
	}
	args[0] = (struct redis_argument){"EVALSHA", 7};
	args[1] = (struct redis_argument){script->sha1, 40};
	args[2] = (struct redis_argument){
	    count, (size_t)snprintf(count, sizeof(count), "%zu", keys)};
	memcpy(args + 3, keys_and_args, n * sizeof(*args));
	q->script = script;
	submit(r, q, args, n + 3, false);
}

/* What this connection is for works. */
static void
is_back(struct redis *r)
{
	r->backoff = BACKOFF_MIN;
	if (r->complaint[0] != '\0')
		log_info("%s: connected", r->name);
	r->complaint[0] = '\0';
	r->complaints = 0;
}

/* --- Listening --- */

/* {"subscribe", channel, 1} or {"message", channel, text}; to a refusal
 * hiredis hangs up. */
static void
on_message(redisAsyncContext *context, void *data, void *arg)
{
	struct redis *r = arg;
	const redisReply *reply = data;

	(void)context;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
	    reply->elements < 3)
		return; /* the end of the connection, or an error */
	r->listen_before = 0;
	is_back(r);
	r->heard(strcmp(reply->element[0]->str, "message") == 0
		     ? reply->element[2]->str
		     : NULL,
	    r->heard_arg);
}

static void
listen_to_channel(struct redis *r)
{
	/* Nothing else can be asked on it now, not even what role it has. */
	ev_timer_stop(r->loop, &r->look);
	redisAsyncCommand(
	    r->context, on_message, r, "SUBSCRIBE %s", r->channel);
	r->listen_before = clock_seconds() + r->timeout;
	watch_deadline(r);
}

void
redis_subscribe(
    struct redis *r, const char *channel, redis_message_fn *fn, void *arg)
{
	if ((r->channel = strdup(channel)) == NULL)
		abort(); /* a few bytes: nothing can be answered any more */
	r->heard = fn;
	r->heard_arg = arg;
	if (r->state == READY)
		listen_to_channel(r);
}

/* --- Connecting --- */

static void
on_greeted(enum err err, const struct redis_value *value, void *arg)
{
	struct redis *r = arg;
	char why[160];

	if (err == ERR_REFUSED && r->state == CONNECTING) {
		snprintf(why, sizeof(why), "says: %.120s", redis_text(value));
		drop(r, why);
	}
}

/* The value of a "name:value\r\n" among the lines of INFO; "" without it. */
static void
read_info(
    const struct redis_value *info, const char *name, char *buf, size_t size)
{
	size_t len = strlen(name);

	buf[0] = '\0';
	for (const char *line = redis_text(info); *line != '\0';
	     line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, name, len) == 0 && line[len] == ':') {
			snprintf(buf, size, "%.*s",
			    (int)strcspn(line + len + 1, "\r\n"),
			    line + len + 1);
			return;
		}
}

/* The outbox is read from behind an entry on, which older ones cannot. */
static void
on_server_info(enum err err, const struct redis_value *value, void *arg)
{
	struct redis *r = arg;
	char version[24], why[96];
	int major = 0, minor = 0;

	if (err != ERR_OK) {
		on_greeted(err, value, arg);
		return;
	}
	read_info(value, "redis_version", version, sizeof(version));
	if (sscanf(version, "%d.%d", &major, &minor) == 2 &&
	    (major > OLDEST_MAJOR ||
		(major == OLDEST_MAJOR && minor >= OLDEST_MINOR)))
		return;
	snprintf(why, sizeof(why), "is version \"%s\", but %d.%d is needed",
	    version, OLDEST_MAJOR, OLDEST_MINOR);
	drop(r, why);
}

/*
 * Is it a master?  A Sentinel may be late, and a name may lead elsewhere.  Its
 * replication id is a new one after each start and each promotion; the run id
 * of the process would stay while it was a replica that took over others'
 * data.
 */
static bool
check_role(struct redis *r, const struct redis_value *info)
{
	char role[16];

	read_info(info, "role", role, sizeof(role));
	if (strcmp(role, "master") != 0) {
		drop(r, "is a replica, not the master");
		return false;
	}
	if (!r->trusted)
		read_info(info, "master_replid", r->run_id, sizeof(r->run_id));
	return true;
}

/* The last word of the greeting; an error means loading, or no permission. */
static void
on_ready(enum err err, const struct redis_value *value, void *arg)
{
	struct redis *r = arg;

	if (err != ERR_OK) {
		on_greeted(err, value, arg);
		return;
	}
	if (r->state != CONNECTING || (!r->is_bare && !check_role(r, value)))
		return;
	r->state = READY;
	if (r->channel != NULL) {
		listen_to_channel(r);
		return;
	}
	is_back(r);
	if (!r->is_bare)
		ev_timer_again(r->loop, &r->look);
}

static void
on_looked(enum err err, const struct redis_value *value, void *arg)
{
	struct redis *r = arg;

	if (err == ERR_OK && r->state == READY)
		(void)check_role(r, value);
}

/* A master may be told to become a replica without hanging up, and one that
 * is cut off hangs up on nobody: then there is no answer. */
static void
on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	redis_call(
	    timer->data, on_looked, timer->data, "INFO", "replication", NULL);
}

static void
handshake(struct redis *r, redis_fn *fn, ...)
{
	va_list words;

	va_start(words, fn);
	call(r, fn, r, true, words);
	va_end(words);
}

static void
on_connect(const redisAsyncContext *context, int status)
{
	struct redis *r = context->data;
	const struct redis_address *a;
	char db[16];

	if (r == NULL)
		return;
	if (status != REDIS_OK) {
		go_down(r, context->errstr); /* hiredis frees the context */
		return;
	}
	a = &r->address;
	if (a->password[0] != '\0' && a->user[0] != '\0')
		handshake(r, on_greeted, "AUTH", a->user, a->password, NULL);
	else if (a->password[0] != '\0')
		handshake(r, on_greeted, "AUTH", a->password, NULL);
	if (a->db != 0) {
		snprintf(db, sizeof(db), "%d", a->db);
		handshake(r, on_greeted, "SELECT", db, NULL);
	}
	if (r->is_bare) {
		handshake(r, on_ready, "PING", NULL);
		return;
	}
	handshake(r, on_server_info, "INFO", "server", NULL);
	handshake(r, on_ready, "INFO", "replication", NULL);
}

static void
start_connecting(struct redis *r)
{
	const struct redis_address *a = &r->address;
	redisAsyncContext *context = a->path[0] != '\0'
					 ? redisAsyncConnectUnix(a->path)
					 : redisAsyncConnect(a->host, a->port);

	if (context == NULL || context->err) {
		go_down(r, context == NULL ? "out of memory" : context->errstr);
		if (context != NULL)
			redisAsyncFree(context);
		return;
	}
	r->state = CONNECTING;
	r->context = context;
	context->data = r;
	redisLibevAttach(r->loop, context);
	redisAsyncSetConnectCallback(context, on_connect);
	redisAsyncSetDisconnectCallback(context, on_disconnect);
	if (a->path[0] == '\0')
		redisEnableKeepAlive(&context->c);
	watch_deadline(r);
}

static void
on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	start_connecting(timer->data);
}

/* --- Coming and going --- */

/* The Sentinels say so: whatever we talked to until now, leave it. */
static void
on_master(const char *host, int port, void *arg)
{
	struct redis *r = arg;
	char why[sizeof(r->name) + 64];

	snprintf(r->address.host, sizeof(r->address.host), "%s", host);
	r->address.port = port;
	snprintf(why, sizeof(why), "the Sentinels say that the master is %s:%d",
	    host, port);
	if (r->context != NULL)
		drop(r, why);
	else
		log_info("%s: %s", r->name, why);
	r->backoff = BACKOFF_MIN;
	ev_timer_stop(r->loop, &r->retry);
	start_connecting(r);
}

static struct redis *
new_redis(struct ev_loop *loop, unsigned timeout_ms)
{
	struct redis *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->loop = loop;
	r->timeout = timeout_ms / 1000.0;
	r->backoff = BACKOFF_MIN;
	TAILQ_INIT(&r->waiting);
	TAILQ_INIT(&r->refused);
	ev_timer_init(&r->retry, on_retry, 0., 0.);
	ev_timer_init(&r->overdue, on_overdue, 0., 0.);
	ev_timer_init(&r->tell_refused, on_tell_refused, 0., 0.);
	ev_timer_init(&r->look, on_look, 0., LOOK_SECONDS);
	/* After a turn that blocked, read the answers that have come before
	 * judging that they have not. */
	ev_set_priority(&r->overdue, EV_MINPRI);
	r->retry.data = r->overdue.data = r->tell_refused.data = r;
	r->look.data = r;
	return r;
}

enum err
redis_new(struct redis **out, struct ev_loop *loop, const char *url,
    unsigned timeout_ms, char *why, size_t why_size)
{
	struct redis_url parsed;
	struct redis *r;
	enum err err = redis_url_parse(url, &parsed, why, why_size);

	if (err != ERR_OK)
		return err;
	if ((r = new_redis(loop, timeout_ms)) == NULL)
		return ERR_NOMEM;
	snprintf(r->name, sizeof(r->name), "redis");
	r->address = parsed.server;
	if (parsed.sentinels_n == 0)
		start_connecting(r);
	else if (sentinel_new(&r->sentinel, loop, &parsed, timeout_ms,
		     on_master, r) != ERR_OK) {
		redis_free(r);
		return ERR_NOMEM;
	}
	*out = r;
	return ERR_OK;
}

enum err
redis_new_bare(struct redis **out, struct ev_loop *loop, const char *name,
    const struct redis_address *address, unsigned timeout_ms)
{
	struct redis *r = new_redis(loop, timeout_ms);

	if (r == NULL)
		return ERR_NOMEM;
	snprintf(r->name, sizeof(r->name), "%s %s:%d", name, address->host,
	    address->port);
	r->address = *address;
	r->is_bare = true;
	start_connecting(r);
	*out = r;
	return ERR_OK;
}

void
redis_free(struct redis *r)
{
	if (r == NULL)
		return;
	sentinel_free(r->sentinel);
	/* We know why it goes: nothing for the log. */
	snprintf(r->complaint, sizeof(r->complaint), "closing");
	drop(r, "closing");
	ev_timer_stop(r->loop, &r->retry);
	on_tell_refused(r->loop, &r->tell_refused, 0);
	ev_timer_stop(r->loop, &r->tell_refused);
	free(r->channel);
	free(r);
}

bool
redis_is_ready(const struct redis *r)
{
	return r->state == READY;
}

const char *
redis_run_id(const struct redis *r)
{
	return r->run_id;
}

void
redis_trust(struct redis *r)
{
	r->trusted = true;
	r->run_id[0] = '\0';
}

bool
redis_is_idle(const struct redis *r)
{
	return TAILQ_EMPTY(&r->waiting) && TAILQ_EMPTY(&r->refused);
}
