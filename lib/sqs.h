/*
 * Amazon SQS over its JSON protocol.  One queue per client.  Every call
 * answers exactly once through its callback, never before the call returns;
 * what the callback is given is borrowed until it returns.  Nothing is
 * retried here but one try after expired credentials or a skewed clock: who
 * calls knows its deadline.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/
 */
#ifndef FLASHSALE_SQS_H
#define FLASHSALE_SQS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ev.h>

#include "config.h"
#include "err.h"

#define SQS_BATCH_MAX 10 /* entries a call */
#define SQS_CODE_MAX 80

struct sqs;

/* How a call, or one entry of a batch, went. */
struct sqs_result {
	enum err err;
	bool sender_fault;	 /* the same entry would fail again */
	char code[SQS_CODE_MAX]; /* "QueueDoesNotExist", or "" */
	char message[256];	 /* for the log */
};

struct sqs_message {
	const char *message_id;
	const char *receipt_handle;
	const char *body;
	size_t body_len;
	unsigned receive_count; /* 1 at the first receive; 0 = not told */
	int64_t sent_at;	/* ms since 1970; 0 = not told */
};

/*
 * queue_url: SQS_QUEUE_URL or SQS_DLQ_URL of the config, or "" for a client
 * that only looks up and creates queues.  Endpoint, region and credentials
 * follow the rules of the AWS SDKs (docs/operations.md).
 * connections: calls in flight at most; more wait in line.
 * ERR_BAD_INPUT with the reason in why: no region, bad URL...
 */
enum err sqs_new(struct sqs **, struct ev_loop *, const struct config *,
    const char *queue_url, unsigned connections, char *why,
    size_t why_size) MUST_CHECK;
/* Would sqs_new() take this URL?  Contacts nobody. */
enum err sqs_check(const struct config *, const char *queue_url, char *why,
    size_t why_size) MUST_CHECK;
/* Calls under way are dropped without their callback. NULL is fine. */
void sqs_free(struct sqs *);

/* What the rules came to, for the start-up log. */
const char *sqs_endpoint_url(const struct sqs *);
const char *sqs_region(const struct sqs *);

/* results has n entries, in the order given. */
typedef void sqs_batch_fn(
    const struct sqs_result *results, size_t n, void *arg);

struct sqs_text {
	const char *data;
	size_t len;
};

/* Send 1..SQS_BATCH_MAX bodies (copied). MD5 of each answer is checked: a
 * mismatch is ERR_PROTOCOL for that entry. */
void sqs_send_batch(struct sqs *, const struct sqs_text *bodies, size_t n,
    sqs_batch_fn *, void *arg);

/* Receipt handles are copied; 1..SQS_BATCH_MAX of them. */
void sqs_delete_batch(struct sqs *, const char *const *receipt_handles,
    size_t n, sqs_batch_fn *, void *arg);
void sqs_change_visibility_batch(struct sqs *,
    const char *const *receipt_handles, size_t n, unsigned seconds,
    sqs_batch_fn *, void *arg);

/* A message whose body does not match its MD5 is logged and left out: it
 * comes back by itself. */
typedef void sqs_receive_fn(
    const struct sqs_result *, const struct sqs_message *, size_t n, void *arg);
void sqs_receive(struct sqs *, unsigned max, unsigned wait_seconds,
    unsigned visibility_seconds, sqs_receive_fn *, void *arg);

struct sqs_attributes {
	int64_t visible, in_flight, delayed; /* approximate; -1 = not told */
	int64_t maximum_message_size;	     /* bytes; -1 = not told */
	char arn[256];
};
/* Is nothing in it, whoever has it at the moment?  What is not told may be
 * anything, but for delays, which some servers do not know. */
bool sqs_attributes_are_empty(const struct sqs_attributes *);

typedef void sqs_attributes_fn(
    const struct sqs_result *, const struct sqs_attributes *, void *arg);
void sqs_get_queue_attributes(struct sqs *, sqs_attributes_fn *, void *arg);

typedef void sqs_url_fn(const struct sqs_result *, const char *url, void *arg);
void sqs_get_queue_url(struct sqs *, const char *name, sqs_url_fn *, void *arg);
/* attributes: name, value, name, value, ..., NULL; NULL for none. */
void sqs_create_queue(struct sqs *, const char *name,
    const char *const *attributes, sqs_url_fn *, void *arg);

#endif
