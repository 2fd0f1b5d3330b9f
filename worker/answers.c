/* Batches of DeleteMessage and ChangeMessageVisibility, with their retries. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "failpoint.h"
#include "log.h"
#include "metrics.h"

#include "answers.h"
#include "stats.h"

#define TRIES 4
#define RETRY_SECONDS                                          \
	0.2 /* before the first retry, then four times that... \
	     */

/* Up to SQS_BATCH_MAX answers that travel together. */
struct batch {
	LIST_ENTRY(batch) link;
	struct answers *answers;
	bool is_delete;
	unsigned after_seconds; /* of a hand-back */
	char *handles[SQS_BATCH_MAX];
	size_t n;
	unsigned tries;
	ev_timer retry;
};

struct answers {
	struct ev_loop *loop;
	struct sqs *sqs;
	LIST_HEAD(batches, batch) batches;
	size_t pending;
	double last_line; /* for log_rate_ok */
};

enum err
answers_new(struct answers **out, struct ev_loop *loop, struct sqs *sqs)
{
	struct answers *answers = calloc(1, sizeof(*answers));

	if (answers == NULL)
		return ERR_NOMEM;
	answers->loop = loop;
	answers->sqs = sqs;
	LIST_INIT(&answers->batches);
	*out = answers;
	return ERR_OK;
}

/* Drop the handle at i; its place is taken by the last one. */
static void
drop_handle(struct batch *batch, size_t i)
{
	free(batch->handles[i]);
	batch->handles[i] = batch->handles[--batch->n];
	batch->answers->pending--;
}

static void
batch_free(struct batch *batch)
{
	while (batch->n > 0)
		drop_handle(batch, batch->n - 1);
	ev_timer_stop(batch->answers->loop, &batch->retry);
	LIST_REMOVE(batch, link);
	free(batch);
}

void
answers_free(struct answers *answers)
{
	if (answers == NULL)
		return;
	while (!LIST_EMPTY(&answers->batches))
		batch_free(LIST_FIRST(&answers->batches));
	free(answers);
}

size_t
answers_pending(const struct answers *answers)
{
	return answers->pending;
}

static void
give_up(struct batch *batch, const struct sqs_result *result)
{
	if (batch->is_delete)
		metrics_add(STAT_DELETE_FAILED, (int64_t)batch->n);
	if (log_rate_ok(&batch->answers->last_line))
		log_warn("SQS: cannot %s %zu messages (%s %s); they come back "
			 "by themselves",
		    batch->is_delete ? "delete" : "hand back", batch->n,
		    err_name(result->err), result->code);
	batch_free(batch);
}

/*
 * Keep what is worth another try.  From the back, because drop_handle moves
 * the last one.
 */
static void
on_answered(const struct sqs_result *results, size_t n, void *arg)
{
	struct batch *batch = arg;
	struct sqs_result failure = {.err = ERR_OK};
	int64_t done = 0, hopeless = 0;
	size_t i;

	for (i = n; i-- > 0;) {
		if (results[i].err != ERR_OK && !results[i].sender_fault) {
			failure = results[i];
			continue;
		}
		if (results[i].err == ERR_OK)
			done++;
		else
			hopeless++;
		drop_handle(batch, i);
	}
	if (batch->is_delete) {
		FAILPOINT("worker_deleted");
		metrics_add(STAT_DELETED, done);
		metrics_add(STAT_DELETE_FAILED, hopeless);
	}
	if (batch->n == 0)
		batch_free(batch);
	else if (batch->tries >= TRIES)
		give_up(batch, &failure);
	else
		ev_timer_start(batch->answers->loop, &batch->retry);
}

static void
batch_send(struct batch *batch)
{
	const char *handles[SQS_BATCH_MAX];

	memcpy(handles, batch->handles, sizeof(handles));
	batch->tries++;
	if (batch->is_delete)
		sqs_delete_batch(
		    batch->answers->sqs, handles, batch->n, on_answered, batch);
	else
		sqs_change_visibility_batch(batch->answers->sqs, handles,
		    batch->n, batch->after_seconds, on_answered, batch);
}

static void
on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct batch *batch = timer->data;

	(void)loop;
	(void)events;
	ev_timer_set(timer, RETRY_SECONDS * (1 << (2 * batch->tries)), 0.);
	batch_send(batch);
}

/* Out of memory: the messages come back by themselves. */
static struct batch *
batch_new(struct answers *answers, const char *const *handles, size_t n)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (batch == NULL)
		return NULL;
	batch->answers = answers;
	LIST_INSERT_HEAD(&answers->batches, batch, link);
	ev_timer_init(&batch->retry, on_retry, RETRY_SECONDS, 0.);
	batch->retry.data = batch;
	while (batch->n < n) {
		batch->handles[batch->n] = strdup(handles[batch->n]);
		if (batch->handles[batch->n] == NULL)
			break;
		batch->n++;
		answers->pending++;
	}
	if (batch->n == n)
		return batch;
	batch_free(batch);
	return NULL;
}

static void
answer(struct answers *answers, const char *const *handles, size_t n,
    bool is_delete, unsigned after_seconds)
{
	struct batch *batch;
	size_t i, some;

	for (i = 0; i < n; i += some) {
		some = n - i > SQS_BATCH_MAX ? SQS_BATCH_MAX : n - i;
		batch = batch_new(answers, handles + i, some);
		if (batch == NULL)
			return;
		batch->is_delete = is_delete;
		batch->after_seconds = after_seconds;
		batch_send(batch);
	}
}

void
answers_delete(struct answers *answers, const char *const *handles, size_t n)
{
	answer(answers, handles, n, true, 0);
}

void
answers_hand_back(struct answers *answers, const char *const *handles, size_t n,
    unsigned after_seconds)
{
	metrics_add(STAT_HANDED_BACK, (int64_t)n);
	answer(answers, handles, n, false, after_seconds);
}
