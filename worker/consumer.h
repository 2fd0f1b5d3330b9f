/* A consumer: takes messages from SQS, writes them to MySQL, deletes them. */
#ifndef WORKER_CONSUMER_H
#define WORKER_CONSUMER_H

#include "config.h"

/*
 * The life of the process, until it is asked to leave. Its exit code.
 * queue_url: SQS_QUEUE_URL, or SQS_DLQ_URL of the config: an order that ended
 * there for no fault of its own is still owed to its buyer, and what MySQL
 * will not have is parked with its reason.
 */
int consumer_main(const struct config *, const char *queue_url);

#endif
