/* A responder process: what its handlers share. */
#ifndef FLASHSALE_RESPONDER_H
#define FLASHSALE_RESPONDER_H

#include <ev.h>

#include "config.h"
#include "fastcgi.h"
#include "redis.h"
#include "reservations.h"
#include "sender.h"
#include "sqs.h"

struct responder {
	struct ev_loop *loop;
	const struct config *config;
	struct redis *redis;
	struct reservations *reservations;
	/* Both NULL with QUEUE=redis: the outbox is the queue. */
	struct sqs *sqs;
	struct sender *sender;
	struct fastcgi *edge;
	double sqs_seen; /* clock_seconds() of the last check of SQS */
	bool sqs_ok;
	struct sqs_attributes queue; /* what it said, while sqs_ok */
	bool checking; /* a check is under way, and who waits for it */
	void (*checked)(void *arg);
	void *checked_arg;
	bool complete; /* nothing waits to be rebuilt; at the last /readyz */
	double patient_until; /* clock_seconds(), while starting */
	ev_timer tick;
};

struct responder_options {
	const struct config *config;
	int listen_fd;
	int handover[2];
};

/* Would a responder start with these settings? Else the reason in why. */
enum err responder_check(
    const struct config *, char *why, size_t size) MUST_CHECK;

/*
 * Look whether SQS answers, and call fn(arg) with the answer known; at most
 * one call at a time, and none within two seconds of the last, however many
 * ask: fn is then called at once, on what is known.  So it is without SQS.
 */
void responder_check_sqs(struct responder *, void (*fn)(void *arg), void *arg);

/*
 * What a buyer is told of an order in that state.  Without SQS there is
 * nothing between the outbox and the worker: what is reserved is queued.
 */
const char *responder_order_status(const struct responder *, const char *state);

/* Serve until asked to leave and done. Returns the exit code. */
int responder_run(const struct responder_options *);

#endif
