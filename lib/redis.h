/*
 * A Redis connection on an event loop: commands issued in one turn of the
 * loop leave in one write.  It connects by itself, again and again with
 * back-off; while it is down, commands fail at once with ERR_UNAVAILABLE
 * (they were not sent).  A command that is not answered in time fails with
 * ERR_TIMEOUT (its outcome is unknown), and so does everything behind it on
 * the same connection.  The only module that includes hiredis.
 */
#ifndef FLASHSALE_REDIS_H
#define FLASHSALE_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "err.h"
#include "redis_url.h"

struct redis;
struct redis_value; /* a reply, or an element of one; borrowed */

/* err is ERR_OK with a value, or the failure (ERR_REFUSED: value is the
 * error reply's text).  Called exactly once per command, never before the
 * call that issued it returns. */
typedef void redis_fn(enum err, const struct redis_value *, void *arg);

struct redis_argument {
	const char *data;
	size_t len;
};

/* A Lua script, embedded at build time from lua/. */
struct redis_script {
	const char *name; /* for logs: "reserve" */
	const char *source;
	const char *source_end;
	char sha1[41]; /* filled at first use */
};

/*
 * The master at a url, see redis_url.h; with redis+sentinel:// wherever the
 * Sentinels say that it is.  A replica is not talked to, nor a Redis older than
 * 6.2.  timeout_ms bounds connecting and every command.  ERR_BAD_INPUT with the
 * reason in why for a bad url.  Connecting starts at once but is not waited
 * for.
 */
enum err redis_new(struct redis **, struct ev_loop *, const char *url,
    unsigned timeout_ms, char *why, size_t why_size) MUST_CHECK;

/* Whatever speaks the protocol at this address: a Sentinel, say.  Nothing is
 * asked about it, so it has no run id.  name is for logs. */
enum err redis_new_bare(struct redis **, struct ev_loop *, const char *name,
    const struct redis_address *, unsigned timeout_ms) MUST_CHECK;

/* Pending commands get ERR_TIMEOUT first. NULL is fine. */
void redis_free(struct redis *);

/* Connected, authenticated, database selected? */
bool redis_is_ready(const struct redis *);

/*
 * The id of the server's run as a master: another one after every restart, on
 * every replica that is promoted, and on a master that has been a replica in
 * between; so whoever remembers it notices that data may be missing.  "" when
 * not connected, and after redis_trust().
 */
const char *redis_run_id(const struct redis *);

/* The operator says that this Redis never loses data: forget run ids. */
void redis_trust(struct redis *);

/* Is every command answered? */
bool redis_is_idle(const struct redis *);

/* A command of C strings, 16 at most, which are copied; the list ends with
 * NULL. */
void redis_call(struct redis *, redis_fn *, void *arg, ...)
    __attribute__((sentinel));

/* EVALSHA; falls back to EVAL when the server does not know the script. */
void redis_eval(struct redis *, struct redis_script *, size_t keys,
    const struct redis_argument *keys_and_args, size_t n, redis_fn *,
    void *arg);

/*
 * Hear what is published on a channel, from now on and after every
 * reconnection; this connection is good for nothing else then.  message is
 * NULL when hearing begins (again): what was published before is not known.
 */
typedef void redis_message_fn(const char *message, void *arg);
void redis_subscribe(
    struct redis *, const char *channel, redis_message_fn *, void *arg);

/* Reading a reply. Out of range or of another type: NULL, 0 or "". */
size_t redis_array_size(const struct redis_value *);
const struct redis_value *redis_at(const struct redis_value *, size_t i);
bool redis_is_null(const struct redis_value *);
/* Of the text of ERR_REFUSED: it has no room, disk or replicas just now, and
 * may do the same later. */
bool redis_is_unable(const struct redis_value *);
int64_t redis_int(const struct redis_value *); /* integers, decimal text */
const char *redis_text(const struct redis_value *);
size_t redis_text_len(const struct redis_value *);
/* Copy text into a buffer of size bytes; too long gives "". */
void redis_copy(const struct redis_value *, char *buf, size_t size);

#endif
