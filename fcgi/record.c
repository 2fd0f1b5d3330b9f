#include "record.h"

#include <string.h>

#include <fastcgi.h>

/* --- Requests --- */

struct header {
	unsigned version, type, id;
	size_t content, padding; /* bytes */
};

/* How far a request has been read. */
struct reading {
	struct record_request *out;
	bool began, params_ended, body_ended;
	uint8_t params[REQUEST_PARAMS_MAX];
	size_t params_len;
};

static struct header
read_header(const uint8_t *p)
{
	return (struct header){.version = p[0],
	    .type = p[1],
	    .id = (unsigned)p[2] << 8 | p[3],
	    .content = (size_t)p[4] << 8 | p[5],
	    .padding = p[6]};
}

/* One byte, or four when the first has its highest bit set. */
static bool
read_length(const uint8_t **p, const uint8_t *end, size_t *len)
{
	const uint8_t *at = *p;

	if (at < end && at[0] < 0x80) {
		*len = at[0];
		*p += 1;
		return true;
	}
	if (end - at < 4)
		return false;
	*len = (size_t)(at[0] & 0x7f) << 24 | (size_t)at[1] << 16 |
	       (size_t)at[2] << 8 | at[3];
	*p += 4;
	return true;
}

static void
copy_value(const uint8_t *value, size_t len, char *out, size_t size)
{
	size_t n = len < size ? len : size - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = value[i] == '\0' ? 0x7f : (char)value[i];
	out[n] = '\0';
}

/* The parameters that are read, and where they go. */
#define PARAM(name, member)                                      \
	{                                                        \
		name, sizeof(name) - 1,                          \
		    offsetof(struct record_request, member),     \
		    sizeof(((struct record_request *)0)->member) \
	}

static const struct {
	const char *name;
	size_t name_len, place, size; /* bytes */
} wanted[] = {
    PARAM("REQUEST_METHOD", method),
    PARAM("SCRIPT_NAME", path),
    PARAM("CONTENT_TYPE", content_type),
    PARAM("HTTP_AUTHORIZATION", authorization),
    PARAM("HTTP_IDEMPOTENCY_KEY", idempotency_key),
};

static void
take_param(struct record_request *r, const uint8_t *name, size_t name_len,
    const uint8_t *value, size_t len)
{
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		char *out = (char *)r + wanted[i].place;

		if (name_len != wanted[i].name_len ||
		    memcmp(name, wanted[i].name, name_len) != 0)
			continue;
		copy_value(value, len, out, wanted[i].size);
		if (out == r->path && len >= sizeof(r->path))
			r->path[0] = '\0'; /* half a path is another path */
		return;
	}
}

static bool
read_params(struct reading *r)
{
	const uint8_t *p = r->params, *end = p + r->params_len;

	while (p < end) {
		size_t name_len, value_len;

		if (!read_length(&p, end, &name_len) ||
		    !read_length(&p, end, &value_len) ||
		    name_len > (size_t)(end - p) ||
		    value_len > (size_t)(end - p) - name_len)
			return false;
		take_param(r->out, p, name_len, p + name_len, value_len);
		p += name_len + value_len;
	}
	return true;
}

static bool
take_begin(struct reading *r, const struct header *h, const uint8_t *content)
{
	if (r->began || h->content != 8 || h->id == 0 || content[0] != 0 ||
	    content[1] != FCGI_RESPONDER)
		return false;
	r->began = true;
	r->out->id = (int)h->id;
	r->out->keep = (content[2] & FCGI_KEEP_CONN) != 0;
	return true;
}

static bool
take_params(struct reading *r, const struct header *h, const uint8_t *content)
{
	if (r->params_ended || r->params_len + h->content > sizeof(r->params))
		return false;
	memcpy(r->params + r->params_len, content, h->content);
	r->params_len += h->content;
	if (h->content > 0)
		return true;
	r->params_ended = true;
	return read_params(r);
}

static bool
take_body(struct reading *r, const struct header *h, const uint8_t *content)
{
	struct record_request *out = r->out;
	size_t room = BODY_MAX - out->body_len;
	size_t n = h->content < room ? h->content : room;

	if (!r->params_ended)
		return false;
	memcpy(out->body + out->body_len, content, n);
	out->body_len += n;
	out->body_too_large |= n < h->content;
	r->body_ended = h->content == 0;
	return true;
}

static bool
take_record(struct reading *r, const struct header *h, const uint8_t *content)
{
	if (h->type == FCGI_BEGIN_REQUEST)
		return take_begin(r, h, content);
	if (!r->began || (int)h->id != r->out->id)
		return false;
	if (h->type == FCGI_PARAMS)
		return take_params(r, h, content);
	return h->type == FCGI_STDIN && take_body(r, h, content);
}

enum record_result
record_read_request(const uint8_t *data, size_t len, struct record_request *out)
{
	const uint8_t *p = data, *end = data + len;
	struct reading r;

	r.out = out;
	r.began = r.params_ended = r.body_ended = false;
	r.params_len = 0;
	memset(out, 0, offsetof(struct record_request, body));
	out->body_len = 0;
	out->body_too_large = false;
	while (!r.body_ended) {
		struct header h;

		if (p < end && p[0] != FCGI_VERSION_1)
			return RECORD_BAD;
		if (end - p < FCGI_HEADER_LEN)
			break;
		h = read_header(p);
		if ((size_t)(end - p) < FCGI_HEADER_LEN + h.content + h.padding)
			break;
		if (!take_record(&r, &h, p + FCGI_HEADER_LEN))
			return RECORD_BAD;
		p += FCGI_HEADER_LEN + h.content + h.padding;
	}
	out->body[out->body_len] = '\0';
	if (r.body_ended)
		return p == end ? RECORD_WHOLE : RECORD_BAD;
	return len < REQUEST_MAX ? RECORD_PARTIAL : RECORD_BAD;
}

/* --- Replies --- */

static uint8_t *
add_header(uint8_t *out, int type, int request_id, size_t len)
{
	const uint8_t header[FCGI_HEADER_LEN] = {FCGI_VERSION_1, (uint8_t)type,
	    (uint8_t)(request_id >> 8), (uint8_t)request_id,
	    (uint8_t)(len >> 8), (uint8_t)len, 0, 0};

	memcpy(out, header, sizeof(header));
	return out + sizeof(header);
}

/* Copies content and starts a new record wherever one is full. */
struct stream {
	uint8_t *out;
	int request_id;
	size_t left;   /* content that is still to come, in all */
	size_t record; /* room in the current record */
};

static void
add_content(struct stream *s, const char *data, size_t len)
{
	while (len > 0) {
		size_t n;

		if (s->record == 0) {
			s->record = s->left < RECORD_MAX ? s->left : RECORD_MAX;
			s->out = add_header(
			    s->out, FCGI_STDOUT, s->request_id, s->record);
		}
		n = len < s->record ? len : s->record;
		memcpy(s->out, data, n);
		s->out += n;
		s->record -= n;
		s->left -= n;
		data += n;
		len -= n;
	}
}

size_t
record_reply(uint8_t *out, int request_id, const char *head, size_t head_len,
    const char *body, size_t body_len)
{
	static const uint8_t completed[8]; /* status 0, request complete */
	struct stream s = {
	    .out = out, .request_id = request_id, .left = head_len + body_len};

	add_content(&s, head, head_len);
	add_content(&s, body, body_len);
	s.out = add_header(s.out, FCGI_STDOUT, request_id, 0);
	s.out =
	    add_header(s.out, FCGI_END_REQUEST, request_id, sizeof(completed));
	memcpy(s.out, completed, sizeof(completed));
	return (size_t)(s.out + sizeof(completed) - out);
}
