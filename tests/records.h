/*
 * The other side of FastCGI, for tests: a web server that writes requests as
 * bytes, decent ones and others, and reads replies.  Written from the
 * specification and not from fcgi/record.c, whose mistakes it is to notice.
 */
#ifndef FLASHSALE_TESTS_RECORDS_H
#define FLASHSALE_TESTS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
	BEGIN = 1,
	ABORT = 2,
	END = 3,
	PARAMS = 4,
	STDIN = 5,
	STDOUT = 6,
	DATA = 8
};

struct bytes {
	uint8_t data[128 * 1024];
	size_t len;
};

/* --- Requests, always of id 1 --- */

static inline void
add(struct bytes *b, const void *data, size_t len)
{
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void
add_record(
    struct bytes *b, int type, const void *content, size_t len, size_t padding)
{
	uint8_t header[8] = {1, (uint8_t)type, 0, 1, (uint8_t)(len >> 8),
	    (uint8_t)len, (uint8_t)padding, 0};

	add(b, header, sizeof(header));
	add(b, content, len);
	memset(b->data + b->len, 0, padding);
	b->len += padding;
}

static inline void
add_begin(struct bytes *b, int role, bool keep)
{
	uint8_t content[8] = {0, (uint8_t)role, keep};

	add_record(b, BEGIN, content, sizeof(content), 0);
}

/* One byte or, where it has to be or is to be wide, four. */
static inline void
add_length(struct bytes *b, size_t len, bool wide)
{
	uint8_t four[4] = {(uint8_t)(0x80 | len >> 24), (uint8_t)(len >> 16),
	    (uint8_t)(len >> 8), (uint8_t)len};
	uint8_t one = (uint8_t)len;

	if (wide || len > 127)
		add(b, four, sizeof(four));
	else
		add(b, &one, 1);
}

static inline void
add_param(
    struct bytes *b, const char *name, const char *value, size_t len, bool wide)
{
	add_length(b, strlen(name), wide);
	add_length(b, len, wide);
	add(b, name, strlen(name));
	add(b, value, len);
}

static inline void
add_text(struct bytes *b, const char *name, const char *value)
{
	add_param(b, name, value, strlen(value), false);
}

/* The records of a whole request. */
static inline void
add_request(struct bytes *b, bool keep, const struct bytes *params,
    const char *body, size_t body_len)
{
	add_begin(b, 1, keep);
	add_record(b, PARAMS, params->data, params->len, 0);
	add_record(b, PARAMS, "", 0, 0);
	for (size_t at = 0; at < body_len; at += 8192)
		add_record(b, STDIN, body + at,
		    body_len - at < 8192 ? body_len - at : 8192, 0);
	add_record(b, STDIN, "", 0, 0);
}

/* --- Replies --- */

/*
 * Put the content of a reply's records together, NUL-terminated, in out.
 * False unless data is one whole reply to that request, and nothing else.
 */
static inline bool
read_reply(const uint8_t *data, size_t len, int id, char *out, size_t size,
    size_t *out_len)
{
	bool ended = false;
	size_t n = 0, content;

	for (size_t at = 0; at < len; at += 8 + content + data[at + 6]) {
		if (ended || len - at < 8 || data[at] != 1 ||
		    (data[at + 2] << 8 | data[at + 3]) != id)
			return false;
		content = (size_t)data[at + 4] << 8 | data[at + 5];
		if (len - at < 8 + content + data[at + 6])
			return false;
		ended = data[at + 1] == END;
		if (ended && content != 8)
			return false;
		if (!ended && (data[at + 1] != STDOUT || n + content >= size))
			return false;
		if (!ended)
			memcpy(out + n, data + at + 8, content);
		n += ended ? 0 : content;
	}
	out[n] = '\0';
	*out_len = n;
	return ended;
}

#endif
