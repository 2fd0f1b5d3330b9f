/*
 * What came of an attack: outcomes counted, every latency kept.  Pure but
 * for the memory of the latencies; does no I/O.
 */
#ifndef FLASHSALE_TALLY_H
#define FLASHSALE_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define TALLY_REQUESTS_MAX 50000000 /* 4 bytes each: 200 MB */
#define TALLY_OUTCOMES_MAX 64	    /* different ones; then "other" */
#define TALLY_CODE_MAX 63

enum outcome_kind { OUTCOME_ACCEPTED, OUTCOME_REFUSED, OUTCOME_FAILED };

struct outcome {
	int status; /* of HTTP; 0 = there was no answer */
	char code[TALLY_CODE_MAX + 1];
	enum outcome_kind kind;
	uint64_t count;
};

struct tally {
	struct outcome outcomes[TALLY_OUTCOMES_MAX];
	size_t n;	     /* of outcomes */
	uint32_t *latencies; /* microseconds, of answers only */
	size_t answers, capacity;

	/* The body seen last: nearly all refusals are the same text, and
	 * comparing is much cheaper than parsing. */
	char last_body[512];
	size_t last_len;
	int last_status;
	struct outcome *last_outcome;
};

/* Room for this many answers.  ERR_NOMEM: more than the machine has. */
enum err tally_init(struct tally *, size_t requests) MUST_CHECK;
void tally_free(struct tally *);

/* An answer; its code is in the JSON body ("code", or "status" for 202). */
void tally_answer(struct tally *, int status, const char *body, size_t len,
    uint32_t microseconds);

/* No answer, and why. */
void tally_failure(struct tally *, const char *why);

uint64_t tally_count(const struct tally *, enum outcome_kind);

/* Put outcomes (accepted, refused, failed; most frequent first) and
 * latencies into order.  Nothing may be added afterwards. */
void tally_sort(struct tally *);

/* The latency that a share p (0..1) of the answers did not exceed: the exact
 * one, by nearest rank.  0 without answers.  After tally_sort(). */
uint32_t tally_percentile(const struct tally *, double p);

const char *outcome_kind_name(enum outcome_kind);

#endif
