#include "await.h"

void
await_answered(struct await *a, enum err err)
{
	a->err = err;
	a->answered = true;
}

bool
await_answer(struct await *a)
{
	while (!a->answered && !*a->leaving)
		ev_run(a->loop, EVRUN_ONCE);
	if (!a->answered)
		return false;
	a->answered = false;
	return a->err == ERR_OK;
}

static void
on_attributes(const struct sqs_result *result,
    const struct sqs_attributes *depth, void *arg)
{
	struct await *a = arg;

	a->sqs = *result;
	a->depth = *depth;
	await_answered(a, result->err);
}

bool
await_empty_queue(struct await *a, struct sqs *queue)
{
	if (queue == NULL)
		return true;
	sqs_get_queue_attributes(queue, on_attributes, a);
	return await_answer(a) && sqs_attributes_are_empty(&a->depth);
}
