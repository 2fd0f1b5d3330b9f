/*
 * The FastCGI edge: many connections of a web server in one process, on an
 * event loop.  It knows requests and replies, and nothing of sales.
 */
#ifndef FLASHSALE_FASTCGI_H
#define FLASHSALE_FASTCGI_H

#include <stdbool.h>
#include <stddef.h>

#include <ev.h>

#include "err.h"
#include "record.h"

#define REPLY_MAX (64 * 1024) /* bytes of a reply's body */

/* One request and, some time later, its reply. */
struct exchange {
	char method[16];
	char path[512]; /* decoded, without the query */
	/* Valid until the handler returns.  "" where there is none. */
	const char *content_type;
	const char *authorization;
	const char *idempotency_key;
	const char *body; /* NUL-terminated */
	size_t body_len;
	bool body_too_large; /* over BODY_MAX; cut */

	double started;	 /* clock_seconds() */
	void *responder; /* as given to fastcgi_new() */
};

struct fastcgi;

/* Called for every request; must see to exactly one reply, then or later. */
typedef void fastcgi_handler(struct exchange *);

struct fastcgi_options {
	int listen_fd;	 /* shared with other processes; made non-blocking */
	int handover[2]; /* from handover_open() */
	unsigned max_connections;
	fastcgi_handler *handler;
	void *responder;
	void (*drained)(void *responder);
};

enum err fastcgi_new(struct fastcgi **, struct ev_loop *,
    const struct fastcgi_options *) MUST_CHECK;

/*
 * Answer and, when the web server wants it, keep the connection for its next
 * request.  headers: further "Name: value\r\n" lines, or "".  The exchange is
 * gone afterwards.  body_len is REPLY_MAX at most, all headers together 900
 * bytes.  A peer that has left is no error.
 */
void fastcgi_reply(struct exchange *, int status, const char *content_type,
    const char *headers, const char *body, size_t body_len);

/*
 * Take no new connections, and leave those that are kept open, each as soon as
 * its request is answered, in the queue of the listening socket for who accepts
 * next, so that the web server notices nothing.  Where that cannot be (TCP)
 * pass them on to the successor, if there is one, or close them, so that the
 * web server opens new ones.  Then drained() is called.
 */
void fastcgi_drain(struct fastcgi *, bool has_successor);

/* After drained(). */
void fastcgi_free(struct fastcgi *);

unsigned fastcgi_connections(const struct fastcgi *);

#endif
