/* Reading a sale's state from all three stores. */
#include <stdio.h>
#include <string.h>

#include "exit_codes.h"
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

/* --- What Redis cannot tell --- */

struct search {
	const char *sku;
	bool found;
};

static void
on_sought_sale(const struct sale *sale, void *arg)
{
	struct search *search = arg;

	search->found |= strcmp(sale->sku, search->sku) == 0;
}

/* Redis has no such sale, or one of which the field damaged cannot be read:
 * can it be rebuilt? */
static enum err
explain(
    struct session *s, const char *sku, const char *damaged, char why[WHY_SIZE])
{
	struct search search = {.sku = sku};
	bool was_asked =
	    s->db != NULL && db_connect(s->db) == ERR_OK &&
	    ledger_list_sales(s->db, on_sought_sale, &search) == ERR_OK;
	const char *remedy =
	    search.found ? "this makes the worker rebuild it: redis-cli DEL "
			   "fs:epoch"
	    : was_asked	 ? "MySQL does not have it: reset it with all its "
			   "options"
			 : "MySQL, which may have it, cannot be asked";

	if (damaged == NULL && !search.found)
		return ERR_NOT_FOUND;
	if (damaged != NULL)
		snprintf(why, WHY_SIZE,
		    "it is damaged in Redis: its %s cannot be read; %s",
		    damaged, remedy);
	else
		snprintf(why, WHY_SIZE,
		    "MySQL has its sale, and Redis has lost it; %s", remedy);
	return ERR_BAD_INPUT;
}

void
survey_say_rebuilding(char why[WHY_SIZE])
{
	snprintf(why, WHY_SIZE,
	    "it is being rebuilt: try again in some seconds (does a worker "
	    "run?)");
}

enum err
survey_look(struct session *s, const char *sku, struct sale_view *view,
    char why[WHY_SIZE])
{
	enum err err = session_look(s, sku, view);

	/* Or it has just been rebuilt. */
	if (err == ERR_RECOVERING && !session_is_recovering(s))
		err = session_look(s, sku, view);
	if (err == ERR_RECOVERING) {
		survey_say_rebuilding(why);
		return ERR_RECOVERING;
	}
	if (err == ERR_NOT_FOUND)
		return explain(s, sku, NULL, why);
	if (err == ERR_REFUSED && view->damaged != NULL)
		return explain(s, sku, view->damaged, why);
	snprintf(why, WHY_SIZE, "Redis says \"%s\"", err_name(err));
	return err;
}

int
survey_exit_code(const struct command *command, const char *sku, enum err err,
    const char *why)
{
	if (err == ERR_OK)
		return EXIT_FINE;
	if (err == ERR_NOT_FOUND) {
		fprintf(stderr, "flashsale %s: %s has no sale.\n",
		    command->name, sku);
		return EXIT_FAILED;
	}
	log_error("the sale of %s: %s", sku, why);
	return err == ERR_BAD_INPUT ? EXIT_FAILED : EXIT_UNAVAIL;
}

/* --- A sale --- */

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
survey_sale(
    struct session *s, const char *sku, struct survey *v, char why[WHY_SIZE])
{
	size_t entries = 0;
	enum err err;

	*v = (struct survey){0};
	err = survey_look(s, sku, &v->view, why);
	if (err != ERR_OK)
		return err;
	if (v->view.outbox > 0 && s->config->queue == QUEUE_SQS)
		err = session_read_outbox(
		    s, sku, v->view.sale.id, &v->reserved, &entries);
	snprintf(why, WHY_SIZE, "its outbox: Redis says \"%s\"", err_name(err));
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
	return q->has_queue && v->has_book && !v->view.recovering &&
	       v->view.outbox == 0 && q->visible <= 0 && q->in_flight <= 0 &&
	       q->delayed <= 0 &&
	       v->book.confirmed_units + v->book.rejected_units >= v->taken;
}
