/*
 * Messages from an SQS queue.  Two clients: the connections of one are taken
 * by long polls, and deletes must not wait behind those.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sqs.h"

#include "answers.h"
#include "settle.h"
#include "source.h"

/* Deletes and hand-backs in flight at once. */
#define ANSWER_CONNECTIONS 4

struct sqs_source {
	struct source source; /* first: callers have a pointer to it */
	const struct config *config;
	struct sqs *polling, *answering;
	struct answers *answers;
	struct settler *settler;
	const char **handles; /* HAUL_MAX of them */
};

/* A receive under way. */
struct poll {
	source_fn *fn;
	void *arg;
};

static struct sqs_source *
self(struct source *source)
{
	return (struct sqs_source *)source;
}

static void
on_received(const struct sqs_result *result, const struct sqs_message *messages,
    size_t n, void *arg)
{
	struct poll *poll = arg;
	struct delivery list[SQS_BATCH_MAX];
	char why[sizeof(result->code) + sizeof(result->message) + 2];

	snprintf(why, sizeof(why), "%s %s", result->code, result->message);
	for (size_t i = 0; i < n; i++)
		list[i] = (struct delivery){.id = messages[i].message_id,
		    .handle = messages[i].receipt_handle,
		    .body = messages[i].body,
		    .body_len = messages[i].body_len};
	poll->fn(result->err, why, list, n, poll->arg);
	free(poll);
}

static void
receive(struct source *source, source_fn *fn, void *arg)
{
	const struct config *config = self(source)->config;
	struct poll *poll = malloc(sizeof(*poll));

	if (poll == NULL)
		abort(); /* 16 bytes: nothing can be received any more */
	*poll = (struct poll){fn, arg};
	sqs_receive(self(source)->polling, source->batch,
	    config->poll_wait_seconds, config->visibility_seconds, on_received,
	    poll);
}

static bool
is_unwritten(const struct ledger_entry *entry)
{
	return entry->verdict == LEDGER_NONE;
}

static bool
is_written_quietly(const struct ledger_entry *entry)
{
	return !is_unwritten(entry) && !settler_wants(entry);
}

/* Make a list of the handles of such entries. */
static size_t
list_handles(struct sqs_source *s, const struct ledger_entry *entries,
    const char *const *handles, size_t n,
    bool (*which)(const struct ledger_entry *))
{
	size_t listed = 0;

	for (size_t i = 0; i < n; i++)
		if (which(&entries[i]))
			s->handles[listed++] = handles[i];
	return listed;
}

/* What Redis is to know is told first and then deleted, other things written
 * are deleted, and the rest goes back. */
static void
answer(struct source *source, const struct ledger_entry *entries,
    const char *const *handles, size_t n, unsigned after_seconds)
{
	struct sqs_source *s = self(source);
	size_t listed;

	settler_add(s->settler, entries, handles, n);
	listed = list_handles(s, entries, handles, n, is_written_quietly);
	answers_delete(s->answers, s->handles, listed);
	listed = list_handles(s, entries, handles, n, is_unwritten);
	answers_hand_back(s->answers, s->handles, listed, after_seconds);
}

static void
on_told(const char *const *handles, size_t n, void *arg)
{
	struct sqs_source *s = arg;

	answers_delete(s->answers, handles, n);
}

static size_t
pending(const struct source *source)
{
	const struct sqs_source *s = (const struct sqs_source *)source;

	return answers_pending(s->answers) + settler_in_flight(s->settler);
}

/* SQS cannot be told: it may have given us messages already. */
static void
leave(struct source *source)
{
	(void)source;
}

static void
source_free(struct source *source)
{
	struct sqs_source *s = self(source);

	settler_free(s->settler);
	answers_free(s->answers);
	sqs_free(s->answering);
	sqs_free(s->polling);
	free(s->handles);
	free(s);
}

/* So many that everything they bring fits into one haul. */
static void
measure(struct source *source, const struct config *config)
{
	unsigned fit;

	source->batch =
	    config->haul_max < SQS_BATCH_MAX ? config->haul_max : SQS_BATCH_MAX;
	fit = config->haul_max / source->batch;
	source->receives = config->polls < fit ? config->polls : fit;
}

enum err
source_sqs_new(struct source **out, struct ev_loop *loop,
    const struct config *config, const char *queue_url, struct redis *redis,
    char *why, size_t why_size)
{
	struct sqs_source *s = calloc(1, sizeof(*s));
	enum err err = ERR_NOMEM;

	if (s == NULL)
		return ERR_NOMEM;
	s->source = (struct source){.name = "SQS",
	    .receive = receive,
	    .answer = answer,
	    .pending = pending,
	    .leave = leave,
	    .free = source_free};
	measure(&s->source, config);
	s->config = config;
	s->handles = calloc(config->haul_max, sizeof(s->handles[0]));
	if (s->handles != NULL)
		err = sqs_new(&s->polling, loop, config, queue_url,
		    config->polls, why, why_size);
	if (err == ERR_OK)
		err = sqs_new(&s->answering, loop, config, queue_url,
		    ANSWER_CONNECTIONS, why, why_size);
	if (err == ERR_OK)
		err = answers_new(&s->answers, loop, s->answering);
	if (err == ERR_OK)
		err = settler_new(&s->settler, loop, redis, on_told, s);
	if (err == ERR_OK)
		*out = &s->source;
	else
		source_free(&s->source);
	return err;
}
