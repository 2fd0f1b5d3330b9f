/* Reading a sale's state from all three stores. */
#include <stdio.h>

#include "log.h"

#include "survey.h"

void
survey_queue(struct session *s, struct queue_survey *q)
{
	struct sqs_attributes attributes = {0};
	static bool complained;
	char why[WHY_SIZE];
	enum err err;

	*q =
	    (struct queue_survey){.is_outbox = s->config->queue == QUEUE_REDIS};
	err = session_read_queue(s, &attributes, why);
	if (err == ERR_OK) {
		q->has_queue = true;
		q->visible = attributes.visible;
		q->in_flight = attributes.in_flight;
		q->delayed = attributes.delayed;
	}
	if (err == ERR_OK && s->dead_letters != NULL) {
		err = session_read_dead_letters(s, &attributes, why);
		q->has_dead_letters = err == ERR_OK;
		q->dead_letters = attributes.visible + attributes.in_flight;
	}
	if (err != ERR_OK && !complained) {
		complained = true;
		log_warn("%s cannot be asked for the queue: %s",
		    q->is_outbox ? "Redis" : "SQS", why);
	}
}

static void
survey_book(struct session *s, struct survey *v)
{
	static bool complained;
	char why[WHY_SIZE];

	v->has_book =
	    session_read_book(s, v->view.sale.id, &v->book, why) == ERR_OK;
	if (!v->has_book && !complained) {
		complained = true;
		log_warn("MySQL cannot be asked: %s", why);
	}
	v->queued = v->taken - v->reserved - v->book.confirmed_units -
		    v->book.rejected_units;
	if (v->queued < 0) /* the stores were not read in one moment */
		v->queued = 0;
}

enum err
survey_sale(struct session *s, const char *sku, struct survey *v)
{
	size_t entries = 0;
	enum err err;

	*v = (struct survey){0};
	err = session_look(s, sku, &v->view);
	if (err == ERR_OK && v->view.outbox > 0 &&
	    s->config->queue == QUEUE_SQS)
		err = session_read_outbox(
		    s, sku, v->view.sale.id, &v->reserved, &entries);
	if (err != ERR_OK)
		return err;
	if (entries >= OUTBOX_LOOK_MAX && v->view.outbox > (int64_t)entries) {
		v->is_estimate = true;
		v->reserved += v->view.outbox - (int64_t)entries;
	}
	v->taken = v->view.sale.total - v->view.remaining;
	survey_book(s, v);
	return ERR_OK;
}

bool
survey_is_drained(const struct queue_survey *q, const struct survey *v)
{
	return q->has_queue && v->has_book && v->view.outbox == 0 &&
	       q->visible <= 0 && q->in_flight <= 0 && q->delayed <= 0 &&
	       v->book.confirmed_units + v->book.rejected_units >= v->taken;
}
