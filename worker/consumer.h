/* A consumer: takes messages from SQS, writes them to MySQL, deletes them. */
#ifndef WORKER_CONSUMER_H
#define WORKER_CONSUMER_H

#include "config.h"

/* The life of the process, until it is asked to leave. Its exit code. */
int consumer_main(const struct config *);

#endif
