/*
 * HTTP client on an event loop (libcurl's multi interface); connections are
 * kept and reused.  The only module that includes curl.
 */
#ifndef FLASHSALE_HTTP_H
#define FLASHSALE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <ev.h>

#include "err.h"

struct http;

struct http_options {
	unsigned max_connections; /* requests at once; more wait in line */
	const char *ca_bundle;	  /* PEM file, or "" for the system's */
	size_t response_max;	  /* bytes; a larger body is ERR_PROTOCOL */
	bool no_proxy;		  /* ignore proxy variables (metadata calls) */
};

struct http_request {
	const char *method; /* "GET", "POST", "PUT" */
	const char *url;
	const char *const *headers; /* "Name: value", ends with NULL; may be
				       NULL */
	const char *body;	    /* copied; NULL for none */
	size_t body_len;
	unsigned timeout_ms;	     /* the whole exchange */
	unsigned connect_timeout_ms; /* 0 = 1100 */
};

/* Borrowed until the callback returns. */
struct http_response {
	enum err err; /* ERR_OK: there is a status.  ERR_UNAVAILABLE: not sent.
			 ERR_TIMEOUT: perhaps processed.  ERR_PROTOCOL. */
	const char *why; /* for the log when err is set */
	int status;
	const char *body; /* NUL-terminated */
	size_t body_len;
	time_t date;		 /* the Date header, 0 without one */
	const char *request_id;	 /* x-amzn-RequestId, or "" */
	const char *query_error; /* x-amzn-query-error, or "" */
	double seconds;		 /* from start to last byte */
};

typedef void http_fn(const struct http_response *, void *arg);

enum err http_new(
    struct http **, struct ev_loop *, const struct http_options *) MUST_CHECK;
/* Requests under way are dropped without their callback. NULL is fine. */
void http_free(struct http *);

/* The callback comes exactly once, never before this returns. */
void http_send(
    struct http *, const struct http_request *, http_fn *, void *arg);

/* Requests that have not been answered yet. */
size_t http_in_flight(const struct http *);

#endif
