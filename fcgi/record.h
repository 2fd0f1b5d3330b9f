/*
 * FastCGI 1.0 on the wire, as far as a responder needs it: bytes to a request
 * and a reply to bytes.  Pure: no socket, no allocation.
 *
 * libfcgi reads from a socket and blocks until a request is whole, and it
 * aborts the process on some lengths that a peer may declare.  One bad peer
 * must not cost more than its own connection, so of libfcgi only the protocol's
 * definitions are used (<fastcgi.h>), and the library itself as the oracle of
 * tests/unit/test_record.c.
 */
#ifndef FLASHSALE_RECORD_H
#define FLASHSALE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- Requests --- */

#define REQUEST_MAX (64 * 1024)	       /* bytes on the wire */
#define REQUEST_PARAMS_MAX (40 * 1024) /* web servers refuse before that */
#define BODY_MAX 4096 /* bytes kept of a body; a longer one is told */

/*
 * The parameters that we read.  A value that is too long for its place comes
 * as "" (the path) or cut, which is too long for its rule all the same; a NUL
 * inside comes as DEL, which is valid nowhere.
 */
struct record_request {
	int id;
	bool keep; /* the web server wants the connection to stay open */
	char method[16];
	char path[512]; /* SCRIPT_NAME */
	char content_type[64];
	char authorization[512];
	char idempotency_key[256];
	char body[BODY_MAX + 1]; /* NUL-terminated */
	size_t body_len;
	bool body_too_large;
};

enum record_result {
	RECORD_WHOLE,	/* a request, from the first byte to the last */
	RECORD_PARTIAL, /* good so far; more must come */
	RECORD_BAD,	/* no request of a web server */
};

/* Read the request that data begins with. out is complete only if WHOLE. */
enum record_result record_read_request(
    const uint8_t *data, size_t len, struct record_request *out);

/* --- Replies --- */

/* Content of one record; larger content is spread over several. */
#define RECORD_MAX 65528

/* Bytes that a reply with so much content takes, at most. */
#define RECORD_REPLY_SIZE(content) \
	((content) + 8 * ((content) / RECORD_MAX + 1) + 8 + 16)

/*
 * The whole reply of request_id: head and body as FCGI_STDOUT, the end of
 * that stream, FCGI_END_REQUEST.  out has RECORD_REPLY_SIZE(head_len +
 * body_len) bytes.  Returns the bytes used.
 */
size_t record_reply(uint8_t *out, int request_id, const char *head,
    size_t head_len, const char *body, size_t body_len);

#endif
