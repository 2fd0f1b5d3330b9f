#include "record.h"

#include <string.h>

enum { VERSION = 1, END_REQUEST = 3, STDOUT = 6 };

static uint8_t *
add_header(uint8_t *out, int type, int request_id, size_t len)
{
	const uint8_t header[8] = {VERSION, (uint8_t)type,
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
			    s->out, STDOUT, s->request_id, s->record);
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
	s.out = add_header(s.out, STDOUT, request_id, 0);
	s.out = add_header(s.out, END_REQUEST, request_id, sizeof(completed));
	memcpy(s.out, completed, sizeof(completed));
	return (size_t)(s.out + sizeof(completed) - out);
}
