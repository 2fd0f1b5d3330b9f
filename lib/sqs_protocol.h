/*
 * The bodies of SQS' JSON protocol.  Pure: text in, structs out and back; no
 * socket, no clock, no log.
 */
#ifndef FLASHSALE_SQS_PROTOCOL_H
#define FLASHSALE_SQS_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "digest.h"
#include "err.h"
#include "sqs.h"

/* --- Requests --- */

/* A growing text.  Zero it to start; free(data) to end. */
struct sqs_body {
	char *data;
	size_t len, size;
	bool failed; /* out of memory: data is not whole */
};

/* Entry i has the Id "i": sqs_read_batch relies on it. */
void sqs_write_send_batch(struct sqs_body *, const char *queue_url,
    const struct sqs_text *bodies, size_t n);
void sqs_write_delete_batch(struct sqs_body *, const char *queue_url,
    const char *const *receipt_handles, size_t n);
void sqs_write_visibility_batch(struct sqs_body *, const char *queue_url,
    const char *const *receipt_handles, size_t n, unsigned seconds);
void sqs_write_receive(struct sqs_body *, const char *queue_url, unsigned max,
    unsigned wait_seconds, unsigned visibility_seconds);
void sqs_write_get_attributes(struct sqs_body *, const char *queue_url);
void sqs_write_get_url(struct sqs_body *, const char *name);
void sqs_write_create(
    struct sqs_body *, const char *name, const char *const *attributes);

/* --- Answers --- */

/* An answer with a status other than 200.  query_error is its header
 * x-amzn-query-error, or "". */
void sqs_read_error(int status, const char *body, size_t len,
    const char *query_error, struct sqs_result *);

/* Would fresh credentials help? */
bool sqs_is_expired(const struct sqs_result *);

/* The results of a batch of n.  md5 has the digest of each body that was
 * sent, or is NULL when there is none to compare. */
void sqs_read_batch(const char *body, size_t len, size_t n,
    char (*md5)[MD5_HEX_SIZE], struct sqs_result *results);

/* Messages, borrowed from the parsed answer until sqs_haul_free. */
struct sqs_haul {
	struct json_t *root;
	struct sqs_message messages[SQS_BATCH_MAX];
	size_t n;
	size_t damaged; /* left out: wrong MD5, or fields missing */
};

/* ERR_PROTOCOL when the answer makes no sense. */
enum err sqs_read_haul(
    const char *body, size_t len, struct sqs_haul *) MUST_CHECK;
void sqs_haul_free(struct sqs_haul *);

enum err sqs_read_attributes(
    const char *body, size_t len, struct sqs_attributes *) MUST_CHECK;
enum err sqs_read_url(
    const char *body, size_t len, char *url, size_t size) MUST_CHECK;

#endif
