/* A consumer: takes messages from the queue, writes them to MySQL, and then
 * takes them out. */
#ifndef WORKER_CONSUMER_H
#define WORKER_CONSUMER_H

#include "config.h"

/*
 * The life of the process, until it is asked to leave. Its exit code.
 * queue_url: SQS_QUEUE_URL, or SQS_DLQ_URL of the config: an order that ended
 * there for no fault of its own is still owed to its buyer, and what MySQL
 * will not have is parked with its reason.  With QUEUE=redis it is not looked
 * at.
 */
int consumer_main(const struct config *, const char *queue_url);

#endif
