/* Asking and waiting. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "gate.h"
#include "log.h"
#include "outbox.h"

#include "session.h"

/* What a question left behind for its answer. */
struct answer_slot {
	struct session *session;
	enum err err;
	void *out; /* what the callback fills in */
};

static void
answer(struct answer_slot *slot, enum err err)
{
	slot->err = err;
	slot->session->waiting = false;
}

/* Run the loop until answer() has been called. */
static enum err
wait_for(struct answer_slot *slot)
{
	slot->session->waiting = true;
	while (slot->session->waiting)
		ev_run(slot->session->loop, EVRUN_ONCE);
	return slot->err;
}

static void
on_alarm(struct ev_loop *loop, struct ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	*(bool *)timer->data = false;
}

static void
on_interrupt(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
	(void)loop;
	(void)events;
	*(bool *)watcher->data = true;
}

bool
session_sleep(struct session *s, double seconds)
{
	bool sleeping = true, interrupted = false;
	struct ev_signal interrupt;
	struct ev_timer timer;

	ev_now_update(s->loop);
	ev_timer_init(&timer, on_alarm, seconds, 0);
	timer.data = &sleeping;
	ev_timer_start(s->loop, &timer);
	ev_signal_init(&interrupt, on_interrupt, SIGINT);
	interrupt.data = &interrupted;
	ev_signal_start(s->loop, &interrupt);
	while (sleeping && !interrupted)
		ev_run(s->loop, EVRUN_ONCE);
	ev_timer_stop(s->loop, &timer);
	ev_signal_stop(s->loop, &interrupt);
	return !interrupted;
}

void
session_open(struct session *s, const struct config *config)
{
	double deadline = clock_seconds() + config->redis_timeout_ms / 1000.0;
	char why[WHY_SIZE];

	*s = (struct session){
	    .config = config, .loop = ev_default_loop(EVFLAG_AUTO)};
	if (s->loop == NULL)
		fatal(EXIT_OSERR, "the system gives no event loop");
	if (redis_new(&s->redis, s->loop, config->redis_url,
		config->redis_timeout_ms, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	if (!config->recovery)
		redis_trust(s->redis);
	while (!redis_is_ready(s->redis)) {
		if (clock_seconds() > deadline)
			fatal(EXIT_UNAVAIL,
			    "Redis cannot be reached: is it running, and is "
			    "REDIS_URL right?");
		if (!session_sleep(s, 0.002))
			fatal(EXIT_UNAVAIL, "interrupted");
	}
}

static struct sqs *
new_queue(struct session *s, const char *url)
{
	struct sqs *queue = NULL;
	char why[WHY_SIZE];

	if (url[0] != '\0' && s->config->queue == QUEUE_SQS &&
	    sqs_new(&queue, s->loop, s->config, url, 1, why, sizeof(why)) !=
		ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	return queue;
}

void
session_open_all(struct session *s, const struct config *config)
{
	char why[WHY_SIZE];

	session_open(s, config);
	s->queue = new_queue(s, config->sqs_queue_url);
	s->dead_letters = new_queue(s, config->sqs_dlq_url);
	if (config->mysql_url[0] != '\0' &&
	    db_new(&s->db, config->mysql_url, config->mysql_timeout_ms, why,
		sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
}

void
session_close(struct session *s)
{
	sqs_free(s->dead_letters);
	sqs_free(s->queue);
	db_free(s->db);
	redis_free(s->redis);
}

int
session_failed(enum err err, const char *doing)
{
	log_error("%s: Redis says \"%s\"", doing, err_name(err));
	return EXIT_UNAVAIL;
}

/* --- Redis --- */

static void
on_view(enum err err, const struct sale_view *view, void *arg)
{
	struct answer_slot *slot = arg;

	if (err == ERR_OK || err == ERR_REFUSED)
		*(struct sale_view *)slot->out = *view;
	answer(slot, err);
}

enum err
session_look(struct session *s, const char *sku, struct sale_view *view)
{
	struct answer_slot slot = {.session = s, .out = view};

	sale_look(s->redis, sku, on_view, &slot);
	return wait_for(&slot);
}

static void
on_list(enum err err, const char *const *skus, size_t n, void *arg)
{
	struct answer_slot *slot = arg;
	struct sku_list *list = slot->out;
	size_t i;

	if (err == ERR_OK && n > 0) {
		list->skus = calloc(n, sizeof(*list->skus));
		if (list->skus == NULL)
			err = ERR_NOMEM;
	}
	for (i = 0; err == ERR_OK && i < n; i++)
		snprintf(list->skus[i], sizeof(list->skus[i]), "%s", skus[i]);
	list->n = err == ERR_OK ? n : 0;
	answer(slot, err);
}

enum err
session_list(struct session *s, struct sku_list *list)
{
	struct answer_slot slot = {.session = s, .out = list};

	*list = (struct sku_list){0};
	sale_list(s->redis, on_list, &slot);
	return wait_for(&slot);
}

enum err
session_choose(struct session *s, const char *sku, struct sku_list *list)
{
	if (sku == NULL)
		return session_list(s, list);
	*list = (struct sku_list){.skus = calloc(1, sizeof(*list->skus))};
	if (list->skus == NULL)
		return ERR_NOMEM;
	snprintf(list->skus[0], sizeof(list->skus[0]), "%s", sku);
	list->n = 1;
	return ERR_OK;
}

static void
on_epoch(enum err err, bool complete, void *arg)
{
	struct answer_slot *slot = arg;

	*(bool *)slot->out = complete;
	answer(slot, err);
}

bool
session_is_recovering(struct session *s)
{
	bool complete = false;
	struct answer_slot slot = {.session = s, .out = &complete};

	sale_check_epoch(s->redis, on_epoch, &slot);
	return wait_for(&slot) == ERR_OK && !complete;
}

static void
on_gates_open(void *arg)
{
	answer(arg, ERR_OK);
}

/* Whoever opens a sale may expect that nobody refuses its buyers any more. */
static enum err
wait_for_gates(struct session *s, const char *sku, enum err err)
{
	struct answer_slot slot = {.session = s};

	if (err != ERR_OK)
		return err;
	gate_wait(s->loop, s->redis, sku, on_gates_open, &slot);
	return wait_for(&slot);
}

static void
on_started(enum err err, const struct sale_view *view,
    const struct outbox_entry *entry, void *arg)
{
	(void)entry; /* the worker's keeper sends it */
	on_view(err, view, arg);
}

enum err
session_start_sale(struct session *s, const struct sale_change *change,
    bool only_if_new, struct sale_view *view)
{
	struct answer_slot slot = {.session = s, .out = view};

	sale_open(s->redis, change, only_if_new, on_started, &slot);
	return wait_for_gates(s, change->sku, wait_for(&slot));
}

static void
on_done(enum err err, void *arg)
{
	answer(arg, err);
}

enum err
session_set_state(struct session *s, const char *sku, enum sale_state state)
{
	struct answer_slot slot = {.session = s};

	sale_set_state(s->redis, sku, state, on_done, &slot);
	return state == SALE_OPEN ? wait_for_gates(s, sku, wait_for(&slot))
				  : wait_for(&slot);
}

struct outbox_sum {
	const char *sale_id;
	int64_t units;
	size_t entries;
	char last[ENTRY_ID_SIZE]; /* of those, or "" */
};

static void
on_outbox(enum err err, const struct outbox_entry *entries, size_t n, void *arg)
{
	struct answer_slot *slot = arg;
	struct outbox_sum *sum = slot->out;
	size_t i;

	for (i = 0; i < n; i++) {
		const struct message *m = &entries[i].message;

		if (!entries[i].is_damaged && m->type == MESSAGE_ORDER &&
		    strcmp(m->order.sale_id, sum->sale_id) == 0)
			sum->units += m->order.quantity;
	}
	if (n > 0)
		memcpy(sum->last, entries[n - 1].id, sizeof(sum->last));
	sum->entries += n;
	answer(slot, err);
}

enum err
session_read_outbox(struct session *s, const char *sku, const char *sale_id,
    int64_t *units, size_t *entries)
{
	struct outbox_sum sum = {.sale_id = sale_id};
	struct answer_slot slot = {.session = s, .out = &sum};
	size_t before;
	enum err err;

	do {
		before = sum.entries;
		sale_read_outbox(s->redis, sku, sum.last, on_outbox, &slot);
		err = wait_for(&slot);
	} while (err == ERR_OK && sum.entries == before + OUTBOX_PAGE &&
		 sum.entries < OUTBOX_LOOK_MAX);
	*units = sum.units;
	*entries = sum.entries;
	return err;
}

struct outbox_listing {
	session_message_fn *fn;
	void *arg;
	size_t n;		  /* entries of the page */
	char last[ENTRY_ID_SIZE]; /* of those, or "" */
};

static void
on_outbox_page(
    enum err err, const struct outbox_entry *entries, size_t n, void *arg)
{
	struct answer_slot *slot = arg;
	struct outbox_listing *listing = slot->out;
	size_t i;

	for (i = 0; i < n; i++)
		if (!entries[i].is_damaged)
			listing->fn(&entries[i].message, listing->arg);
	if (n > 0)
		memcpy(listing->last, entries[n - 1].id, sizeof(listing->last));
	listing->n = n;
	answer(slot, err);
}

enum err
session_list_outbox(
    struct session *s, const char *sku, session_message_fn *fn, void *arg)
{
	struct outbox_listing listing = {.fn = fn, .arg = arg};
	struct answer_slot slot = {.session = s, .out = &listing};
	enum err err;

	do {
		sale_read_outbox(
		    s->redis, sku, listing.last, on_outbox_page, &slot);
		err = wait_for(&slot);
	} while (err == ERR_OK && listing.n == OUTBOX_PAGE);
	return err;
}

static void
on_order(enum err err, const struct order_view *order, void *arg)
{
	struct answer_slot *slot = arg;

	if (err == ERR_OK)
		memcpy(slot->out, order->state, sizeof(order->state));
	answer(slot, err);
}

enum err
session_find_order(
    struct session *s, const char *sku, const char *order_id, char state[16])
{
	struct answer_slot slot = {.session = s, .out = state};
	enum err err;

	state[0] = '\0';
	sale_find_order(s->redis, sku, order_id, on_order, &slot);
	err = wait_for(&slot);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* --- The books --- */

struct books_reading {
	struct answer_slot slot;
	const struct books_reader *reader;
	void *arg;
};

static void
on_books_order(const char *id, const struct order_view *order, void *arg)
{
	struct books_reading *r = arg;

	r->reader->order(id, order, r->arg);
}

static void
on_books_buyer(const char *user_id, int64_t units, void *arg)
{
	struct books_reading *r = arg;

	r->reader->buyer(user_id, units, r->arg);
}

static void
on_books_request(const char *request, const char *order_id, void *arg)
{
	struct books_reading *r = arg;

	r->reader->request(request, order_id, r->arg);
}

static void
on_books(enum err err, const struct sale_view *view, void *arg)
{
	struct books_reading *r = arg;

	on_view(err, view, &r->slot);
}

enum err
session_read_books(struct session *s, const char *sku,
    const struct books_reader *reader, void *arg, struct sale_view *view)
{
	static const struct books_reader through = {
	    on_books_order, on_books_buyer, on_books_request};
	struct books_reading r = {
	    .slot = {.session = s, .out = view}, .reader = reader, .arg = arg};

	books_read(s->redis, sku, &through, on_books, &r);
	return wait_for(&r.slot);
}

static void
on_mended(enum err err, bool has_changed, void *arg)
{
	struct answer_slot *slot = arg;

	if (slot->out != NULL)
		*(bool *)slot->out = has_changed;
	answer(slot, err);
}

enum err
session_adopt(struct session *s, struct books_sale sale,
    const struct order *order, const char *state)
{
	struct answer_slot slot = {.session = s};

	books_adopt(s->redis, sale, order, state, on_mended, &slot);
	return wait_for(&slot);
}

enum err
session_resend(
    struct session *s, struct books_sale sale, const struct order *order)
{
	struct answer_slot slot = {.session = s};

	books_resend(s->redis, sale, order->id, order->request_key,
	    order->reserved_at, on_mended, &slot);
	return wait_for(&slot);
}

enum err
session_define(struct session *s, struct books_sale sale)
{
	struct answer_slot slot = {.session = s};

	books_define(s->redis, sale, on_mended, &slot);
	return wait_for(&slot);
}

enum err
session_mend_request(struct session *s, struct books_sale sale, bool is_lost,
    const struct order *order)
{
	struct answer_slot slot = {.session = s};

	(is_lost ? books_remember : books_forget)(s->redis, sale, order->id,
	    order->user_id, order->request_key, on_mended, &slot);
	return wait_for(&slot);
}

enum err
session_mend_sum(struct session *s, struct books_sale sale, int64_t mended,
    const char *user_id, int64_t units, int64_t expected, bool *has_changed)
{
	struct answer_slot slot = {.session = s, .out = has_changed};

	books_mend_sum(
	    s->redis, sale, mended, user_id, units, expected, on_mended, &slot);
	return wait_for(&slot);
}

enum err
session_settle(struct session *s, const char *sku, const char *order_id,
    const char *verdict)
{
	struct answer_slot slot = {.session = s};
	struct settlement settlement = {.verdict = verdict};

	snprintf(
	    settlement.order_id, sizeof(settlement.order_id), "%s", order_id);
	sale_settle(s->redis, sku, &settlement, 1, on_done, &slot);
	return wait_for(&slot);
}

/* --- The queue --- */

static void
on_depth(enum err err, const struct outbox_depth *depth, void *arg)
{
	struct answer_slot *slot = arg;
	struct sqs_attributes *sum = slot->out;

	/* What is no stream has no messages; the worker's log tells of it. */
	if (err == ERR_OK) {
		sum->visible += depth->waiting;
		sum->in_flight += depth->taken;
	}
	answer(slot, err == ERR_REFUSED ? ERR_OK : err);
}

/* The outboxes of all SKUs, together. */
static enum err
read_outboxes(struct session *s, struct sqs_attributes *sum, char *why)
{
	struct answer_slot slot = {.session = s, .out = sum};
	struct sku_list list;
	enum err err = session_list(s, &list);

	*sum = (struct sqs_attributes){.maximum_message_size = -1};
	for (size_t i = 0; i < list.n && err == ERR_OK; i++) {
		outbox_measure(s->redis, list.skus[i], on_depth, &slot);
		err = wait_for(&slot);
	}
	free(list.skus);
	if (err != ERR_OK)
		snprintf(why, WHY_SIZE, "Redis: %s", err_name(err));
	return err;
}

struct queue_answer {
	struct sqs_attributes *attributes;
	const char *url;
	char *why;
};

static void
on_attributes(const struct sqs_result *result,
    const struct sqs_attributes *attributes, void *arg)
{
	struct answer_slot *slot = arg;
	struct queue_answer *out = slot->out;

	if (result->err == ERR_OK)
		*out->attributes = *attributes;
	else
		snprintf(out->why, WHY_SIZE, "%s: %s%s%s: %s", out->url,
		    err_name(result->err), result->code[0] == '\0' ? "" : " ",
		    result->code, result->message);
	answer(slot, result->err);
}

static enum err
read_attributes(struct session *s, struct sqs *queue, const char *url,
    struct sqs_attributes *attributes, char *why)
{
	struct queue_answer out = {attributes, url, why};
	struct answer_slot slot = {.session = s, .out = &out};

	sqs_get_queue_attributes(queue, on_attributes, &slot);
	return wait_for(&slot);
}

enum err
session_read_queue(
    struct session *s, struct sqs_attributes *attributes, char why[WHY_SIZE])
{
	if (s->config->queue == QUEUE_REDIS)
		return read_outboxes(s, attributes, why);
	snprintf(why, WHY_SIZE, "SQS_QUEUE_URL is not set");
	if (s->queue == NULL)
		return ERR_UNAVAILABLE;
	return read_attributes(
	    s, s->queue, s->config->sqs_queue_url, attributes, why);
}

enum err
session_read_dead_letters(
    struct session *s, struct sqs_attributes *attributes, char why[WHY_SIZE])
{
	return read_attributes(
	    s, s->dead_letters, s->config->sqs_dlq_url, attributes, why);
}

/* --- MySQL --- */

enum err
session_read_book(struct session *s, const char *sale_id,
    struct ledger_book *book, char why[WHY_SIZE])
{
	enum err err;

	*book = (struct ledger_book){0};
	snprintf(why, WHY_SIZE, "MYSQL_URL is not set");
	if (s->db == NULL)
		return ERR_UNAVAILABLE;
	err = db_connect(s->db);
	if (err == ERR_OK)
		err = ledger_read_book(s->db, sale_id, book);
	if (err == ERR_NOT_FOUND && db_is_connected(s->db))
		err = ERR_OK; /* the sale's message is still under way */
	if (err != ERR_OK)
		snprintf(why, WHY_SIZE, "%s", db_error(s->db));
	return err;
}
