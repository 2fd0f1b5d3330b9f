/*
 * The keeper: brings to SQS what has been waiting in the outboxes too long,
 * because a responder died or SQS was out of reach.  Several at once do no
 * harm: a message that is sent twice is written once.
 */
#ifndef WORKER_KEEPER_H
#define WORKER_KEEPER_H

#include "config.h"

/* The life of the process, until it is asked to leave. Its exit code. */
int keeper_main(const struct config *);

#endif
