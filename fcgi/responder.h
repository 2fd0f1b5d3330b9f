/* A responder process: what its handlers share. */
#ifndef FLASHSALE_RESPONDER_H
#define FLASHSALE_RESPONDER_H

#include <ev.h>

#include "config.h"
#include "fastcgi.h"
#include "redis.h"
#include "sender.h"
#include "sqs.h"

struct responder {
	struct ev_loop *loop;
	const struct config *config;
	struct redis *redis;
	struct sqs *sqs;
	struct sender *sender;
	struct fastcgi *edge;
	double sqs_seen; /* clock_seconds() when SQS last answered a check */
	bool sqs_ok;
};

struct responder_options {
	const struct config *config;
	int listen_fd;
	int handover[2];
};

/* Would a responder start with these settings? Else the reason in why. */
enum err responder_check(
    const struct config *, char *why, size_t size) MUST_CHECK;

/* Serve until asked to leave and done. Returns the exit code. */
int responder_run(const struct responder_options *);

#endif
