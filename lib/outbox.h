/*
 * The outbox as the queue (QUEUE=redis): the workers take messages out of
 * each SKU's stream as one consumer group.  What is taken stays in the stream
 * until sale_settle() takes it out; when its lease is over and it is still
 * there, the next one to ask gets it.
 */
#ifndef FLASHSALE_OUTBOX_H
#define FLASHSALE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "message.h"
#include "redis.h"
#include "sale.h"

#define OUTBOX_TAKE_MAX 500  /* messages at once */
#define OUTBOX_RAW_MAX 65535 /* bytes that are kept of a damaged entry */

/* What is needed to give a message back, or to take it out. */
struct outbox_receipt {
	char sku[SKU_MAX + 1];
	char entry_id[ENTRY_ID_SIZE];
	unsigned deliveries; /* the one that it came with included */
};

struct outbox_message {
	struct outbox_receipt receipt;
	const char *damage; /* why there is no message in it, or NULL */
	char *body;	    /* JSON; of a damaged one its fields, as they are */
	size_t body_len;    /* bytes; OUTBOX_RAW_MAX of them are there */
};

/* ERR_REFUSED: this SKU's outbox cannot be read, others perhaps. */
typedef void outbox_take_fn(
    enum err, const struct outbox_message *, size_t n, void *arg);

/* At most max messages, oldest first, which are the caller's for lease_ms. */
void outbox_take(struct redis *, const char *sku, unsigned max,
    unsigned lease_ms, outbox_take_fn *, void *arg);

/*
 * Messages that could not be written now, for no fault of their own: the
 * delivery does not count, and the next one to ask gets them.  They come back
 * by themselves too; nobody waits for this.
 */
void outbox_give_back(
    struct redis *, const struct outbox_receipt *, unsigned lease_ms);

/* How many entries are there, taken ones included? */
typedef void outbox_length_fn(enum err, int64_t length, void *arg);
void outbox_length(
    struct redis *, const char *sku, outbox_length_fn *, void *arg);

struct outbox_depth {
	int64_t waiting; /* entries that nobody has taken */
	int64_t taken;	 /* by a worker that has not finished them */
};
typedef void outbox_depth_fn(enum err, const struct outbox_depth *, void *arg);
void outbox_measure(
    struct redis *, const char *sku, outbox_depth_fn *, void *arg);

#endif
