/*
 * Reading an HTTP/1.1 answer, one function per state (RFC 9112).  Trusts
 * nobody: lines, header and body have their maximum.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"

struct input {
	const char *data;
	size_t len;
};

void
answer_start(struct answer *a)
{
	/* All but the two buffers, which their lengths guard. */
	memset(a, 0, offsetof(struct answer, line));
	a->length = -1;
}

/*
 * Take one line off the input; without its end, NUL-terminated, it is in
 * a->line.  MORE when its end has not come yet.
 */
static enum answer_step
take_line(struct answer *a, struct input *in)
{
	const char *newline = memchr(in->data, '\n', in->len);
	size_t n = newline == NULL ? in->len : (size_t)(newline - in->data);

	if (a->line_len + n >= sizeof(a->line))
		return ANSWER_BAD;
	memcpy(a->line + a->line_len, in->data, n);
	a->line_len += n;
	if (newline == NULL) {
		in->data += n;
		in->len = 0;
		return ANSWER_MORE;
	}
	in->data += n + 1;
	in->len -= n + 1;
	if (a->line_len > 0 && a->line[a->line_len - 1] == '\r')
		a->line_len--;
	a->line[a->line_len] = '\0';
	a->header_total += a->line_len + 2;
	a->line_len = 0;
	return ANSWER_DONE;
}

static enum answer_step
read_status_line(struct answer *a)
{
	const char *s = a->line;

	if (strncmp(s, "HTTP/1.", 7) != 0 || (s[7] != '0' && s[7] != '1') ||
	    s[8] != ' ' || strspn(s + 9, "0123456789") != 3)
		return ANSWER_BAD;
	a->keep_alive = s[7] == '1';
	a->status = (int)strtol(s + 9, NULL, 10);
	a->state = AT_HEADER;
	return a->status >= 100 ? ANSWER_MORE : ANSWER_BAD;
}

/* The value of the header in a->line if it has this name; or NULL. */
static const char *
header_value(const struct answer *a, const char *name)
{
	size_t n = strlen(name);

	if (strncasecmp(a->line, name, n) != 0 || a->line[n] != ':')
		return NULL;
	return a->line + n + 1 + strspn(a->line + n + 1, " \t");
}

static enum answer_step
read_length(struct answer *a, const char *value)
{
	size_t digits = strspn(value, "0123456789");

	if (digits == 0 || digits > 8 ||
	    value[digits + strspn(value + digits, " \t")] != '\0')
		return ANSWER_BAD;
	a->length = strtol(value, NULL, 10);
	return a->length <= ANSWER_BODY_MAX ? ANSWER_MORE : ANSWER_BAD;
}

/* The empty line: what kind of body follows? */
static enum answer_step
end_header(struct answer *a)
{
	if (a->status < 200) { /* 100 Continue: the real one follows */
		answer_start(a);
		return ANSWER_MORE;
	}
	if (a->status == 204 || a->status == 304)
		a->state = AT_END;
	else if (a->chunked)
		a->state = AT_CHUNK_SIZE;
	else if (a->length < 0)
		a->state = AT_BODY_TO_THE_END;
	else
		a->state = a->length == 0 ? AT_END : AT_BODY;
	a->left = a->length > 0 ? (uint64_t)a->length : 0;
	if (a->state == AT_BODY_TO_THE_END)
		a->keep_alive = false;
	return ANSWER_MORE;
}

static enum answer_step
read_header(struct answer *a)
{
	const char *value;

	if (a->line[0] == '\0')
		return end_header(a);
	if ((value = header_value(a, "Content-Length")) != NULL)
		return read_length(a, value);
	if ((value = header_value(a, "Transfer-Encoding")) != NULL)
		a->chunked = strcasecmp(value, "chunked") == 0;
	else if ((value = header_value(a, "Connection")) != NULL)
		a->keep_alive =
		    strcasecmp(value, "close") != 0 &&
		    (a->keep_alive || strcasecmp(value, "keep-alive") == 0);
	return ANSWER_MORE;
}

static enum answer_step
read_chunk_size(struct answer *a)
{
	size_t digits = strspn(a->line, "0123456789abcdefABCDEF");

	if (digits == 0 || digits > 7)
		return ANSWER_BAD;
	a->left = strtoul(a->line, NULL, 16);
	a->state = a->left == 0 ? AT_TRAILER : AT_CHUNK_DATA;
	return ANSWER_MORE;
}

/* What follows the bytes of a chunk is an empty line. */
static enum answer_step
read_chunk_end(struct answer *a)
{
	a->state = AT_CHUNK_SIZE;
	return a->line[0] == '\0' ? ANSWER_MORE : ANSWER_BAD;
}

static enum answer_step
read_line(struct answer *a)
{
	switch (a->state) {
	case AT_STATUS_LINE:
		return read_status_line(a);
	case AT_HEADER:
		return read_header(a);
	case AT_CHUNK_SIZE:
		return read_chunk_size(a);
	case AT_CHUNK_END:
		return read_chunk_end(a);
	default: /* AT_TRAILER */
		if (a->line[0] == '\0')
			a->state = AT_END;
		return ANSWER_MORE;
	}
}

static enum answer_step
take_body(struct answer *a, struct input *in)
{
	size_t n = in->len, room = sizeof(a->body) - a->body_len;

	if (a->state != AT_BODY_TO_THE_END && n > a->left)
		n = (size_t)a->left;
	memcpy(a->body + a->body_len, in->data, n < room ? n : room);
	a->body_len += n < room ? n : room;
	a->body_total += n;
	in->data += n;
	in->len -= n;
	if (a->body_total > ANSWER_BODY_MAX)
		return ANSWER_BAD;
	if (a->state == AT_BODY_TO_THE_END)
		return ANSWER_MORE;
	a->left -= n;
	if (a->left == 0)
		a->state = a->state == AT_BODY ? AT_END : AT_CHUNK_END;
	return ANSWER_MORE;
}

static enum answer_step
take_step(struct answer *a, struct input *in)
{
	enum answer_step step;

	if (a->state == AT_BODY || a->state == AT_CHUNK_DATA ||
	    a->state == AT_BODY_TO_THE_END)
		return take_body(a, in);
	step = take_line(a, in);
	if (step != ANSWER_DONE)
		return step;
	/* The lines between chunks are bounded by the body's maximum. */
	if (a->state < AT_BODY && a->header_total > ANSWER_HEADER_MAX)
		return ANSWER_BAD;
	if (a->header_total > ANSWER_BODY_MAX)
		return ANSWER_BAD;
	return read_line(a);
}

enum answer_step
answer_feed(struct answer *a, const char *data, size_t len, size_t *used)
{
	struct input in = {data, len};
	enum answer_step step = ANSWER_MORE;

	while (step == ANSWER_MORE && a->state != AT_END && in.len > 0)
		step = take_step(a, &in);
	*used = len - in.len;
	if (step == ANSWER_MORE && a->state == AT_END)
		return ANSWER_DONE;
	return step;
}

bool
answer_complete_at_close(const struct answer *a)
{
	return a->state == AT_BODY_TO_THE_END;
}
