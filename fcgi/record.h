/*
 * The records of a FastCGI reply (FastCGI 1.0, sections 3.3 and 5.5).  Pure:
 * bytes in, bytes out.
 */
#ifndef FLASHSALE_RECORD_H
#define FLASHSALE_RECORD_H

#include <stddef.h>
#include <stdint.h>

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
