/*
 * How far the books of each sale are from balancing, looked at every few
 * seconds: units taken in Redis against units confirmed in MySQL.  What is on
 * its way between the two is not drift, so it is exact when nothing is: then
 * every unit taken is confirmed, or the difference is told.  It says how many
 * units; "flashsale verify" says which orders.
 */
#ifndef WORKER_DRIFT_H
#define WORKER_DRIFT_H

#include <stdbool.h>

#include <ev.h>

#include "config.h"
#include "db.h"
#include "redis.h"
#include "sqs.h"

struct drift;

/*
 * Borrows everything; a queue that there is not is NULL.  *leaving ends a look
 * that is under way.
 */
struct drift *drift_new(struct ev_loop *, const struct config *, struct redis *,
    struct sqs *queue, struct sqs *dead_letters, struct db *,
    const bool *leaving);
void drift_free(struct drift *);

/* A look at all sales, if it is time for one: waits for the answers. */
void drift_look(struct drift *);

#endif
