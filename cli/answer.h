/*
 * An HTTP/1.1 answer, read as it comes.  Pure: bytes in, status and body
 * out; no socket, no allocation.  Of a body it keeps the beginning, which is
 * all that telling one outcome from another takes.
 */
#ifndef FLASHSALE_ANSWER_H
#define FLASHSALE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_LINE_MAX 1024	 /* one header line, or it is no answer */
#define ANSWER_HEADER_MAX 16384	 /* all of them */
#define ANSWER_BODY_MAX 16777216 /* longer ones are not believed */
#define ANSWER_BODY_KEPT 1024

enum answer_step {
	ANSWER_MORE, /* feed it further bytes */
	ANSWER_DONE,
	ANSWER_BAD, /* that is not HTTP/1.x, or beyond the limits */
};

enum answer_state {
	AT_STATUS_LINE,
	AT_HEADER,
	AT_BODY,
	AT_BODY_TO_THE_END, /* neither length nor chunks: until they close */
	AT_CHUNK_SIZE,
	AT_CHUNK_DATA,
	AT_CHUNK_END,
	AT_TRAILER,
	AT_END,
};

/* Zero it, or let answer_start() do so, to begin. */
struct answer {
	enum answer_state state;
	int status;
	bool keep_alive; /* may the connection be used again? */
	bool chunked;
	int64_t length;	     /* Content-Length; -1 = not told */
	uint64_t left;	     /* of the body or the chunk */
	uint64_t body_total; /* bytes, kept or not */
	size_t header_total;
	size_t line_len;
	size_t body_len; /* kept */
	char line[ANSWER_LINE_MAX];
	char body[ANSWER_BODY_KEPT];
};

void answer_start(struct answer *);

/* *used of the len bytes were taken; what is left belongs to the next one. */
enum answer_step answer_feed(
    struct answer *, const char *data, size_t len, size_t *used);

/* They have closed the connection: was that the whole answer? */
bool answer_complete_at_close(const struct answer *);

#endif
