/* Counting outcomes.  Knows what a clean refusal is; see docs/protocol.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "tally.h"

/* The refusals that a buyer may meet when all is well. */
static const char *const clean_refusals[] = {
    "sold_out", "limit_reached", "not_open", "closed", "paused"};

enum err
tally_init(struct tally *t, size_t requests)
{
	memset(t, 0, sizeof(*t));
	t->latencies = malloc(requests * sizeof(*t->latencies));
	t->capacity = requests;
	return t->latencies == NULL ? ERR_NOMEM : ERR_OK;
}

void
tally_free(struct tally *t)
{
	free(t->latencies);
	t->latencies = NULL;
}

const char *
outcome_kind_name(enum outcome_kind kind)
{
	static const char *const names[] = {"accepted", "refused", "failed"};

	return names[kind];
}

static enum outcome_kind
kind_of(int status, const char *code)
{
	size_t i;

	if (status == 202)
		return OUTCOME_ACCEPTED;
	if (status != 409)
		return OUTCOME_FAILED;
	for (i = 0; i < sizeof(clean_refusals) / sizeof(*clean_refusals); i++)
		if (strcmp(code, clean_refusals[i]) == 0)
			return OUTCOME_REFUSED;
	return OUTCOME_FAILED;
}

/* The counter of this outcome, made when it is new. */
static struct outcome *
find_outcome(struct tally *t, int status, const char *code)
{
	struct outcome *o;
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->outcomes[i].status == status &&
		    strcmp(t->outcomes[i].code, code) == 0)
			return &t->outcomes[i];
	if (t->n == TALLY_OUTCOMES_MAX)
		return &t->outcomes[TALLY_OUTCOMES_MAX - 1];
	if (t->n == TALLY_OUTCOMES_MAX - 1) { /* the last place is for all */
		status = 0;
		code = "other";
	}
	o = &t->outcomes[t->n++];
	o->status = status;
	o->kind = kind_of(status, code);
	snprintf(o->code, sizeof(o->code), "%s", code);
	return o;
}

/* Only what is safe to print: the server is not trusted with a terminal. */
static void
copy_code(char *code, const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz_");

	if (n == 0 || n > TALLY_CODE_MAX || text[n] != '\0')
		text = "-";
	snprintf(code, TALLY_CODE_MAX + 1, "%s", text);
}

static struct outcome *
read_outcome(struct tally *t, int status, const char *body, size_t len)
{
	json_t *json = json_loadb(body, len, 0, NULL);
	const char *text = json_string_value(
	    json_object_get(json, status == 202 ? "status" : "code"));
	char code[TALLY_CODE_MAX + 1];

	copy_code(code, text == NULL ? "-" : text);
	json_decref(json);
	return find_outcome(t, status, code);
}

static struct outcome *
recall_outcome(struct tally *t, int status, const char *body, size_t len)
{
	if (t->last_outcome != NULL && status == t->last_status &&
	    len == t->last_len && memcmp(body, t->last_body, len) == 0)
		return t->last_outcome;
	return NULL;
}

void
tally_answer(struct tally *t, int status, const char *body, size_t len,
    uint32_t microseconds)
{
	struct outcome *o = recall_outcome(t, status, body, len);

	if (o == NULL) {
		o = read_outcome(t, status, body, len);
		if (len <= sizeof(t->last_body)) {
			memcpy(t->last_body, body, len);
			t->last_len = len;
			t->last_status = status;
			t->last_outcome = o;
		}
	}
	o->count++;
	if (t->answers < t->capacity)
		t->latencies[t->answers++] = microseconds;
}

void
tally_failure(struct tally *t, const char *why)
{
	find_outcome(t, 0, why)->count++;
}

uint64_t
tally_count(const struct tally *t, enum outcome_kind kind)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->outcomes[i].kind == kind)
			sum += t->outcomes[i].count;
	return sum;
}

static int
compare_outcomes(const void *left, const void *right)
{
	const struct outcome *a = left, *b = right;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return (a->count < b->count) - (a->count > b->count);
}

static int
compare_latencies(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return (a > b) - (a < b);
}

void
tally_sort(struct tally *t)
{
	t->last_outcome = NULL; /* it points to a place, not to an outcome */
	qsort(t->outcomes, t->n, sizeof(*t->outcomes), compare_outcomes);
	if (t->answers > 0)
		qsort(t->latencies, t->answers, sizeof(*t->latencies),
		    compare_latencies);
}

uint32_t
tally_percentile(const struct tally *t, double p)
{
	size_t rank = (size_t)ceil(p * (double)t->answers);

	if (t->answers == 0)
		return 0;
	return t->latencies[rank == 0 ? 0 : rank - 1];
}
