/* The books of one sale: putting facts together, and judging them. */
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "uuid.h"

#include "audit.h"

#define BLOCK_SIZE 65536

/* Texts are many and small, and go all at once. */
struct text_block {
	struct text_block *next;
	size_t used;
	char text[BLOCK_SIZE];
};

static void NORETURN
no_memory(void)
{
	fatal(EXIT_OSERR, "out of memory: the sale is too large to be audited "
			  "on this machine");
}

/* --- Names --- */

static const char *const state_names[] = {[ORDER_ABSENT] = "nothing",
    [ORDER_RESERVED] = "reserved",
    [ORDER_QUEUED] = "queued",
    [ORDER_CONFIRMED] = "confirmed",
    [ORDER_REJECTED] = "rejected",
    [ORDER_OTHER] = "another state"};

enum order_state
order_state_parse(const char *text)
{
	unsigned state;

	for (state = ORDER_RESERVED; state < ORDER_OTHER; state++)
		if (strcmp(text, state_names[state]) == 0)
			return (enum order_state)state;
	return ORDER_OTHER;
}

const char *
order_state_name(enum order_state state)
{
	return state_names[state];
}

bool
order_state_is_live(enum order_state state)
{
	return state == ORDER_RESERVED || state == ORDER_QUEUED ||
	       state == ORDER_CONFIRMED;
}

const char *
difference_kind_name(enum difference_kind kind)
{
	static const char *const names[DIFFERENCE_KINDS] = {
	    [DIFFERENCE_LOST] = "lost",
	    [DIFFERENCE_UNKNOWN] = "unknown",
	    [DIFFERENCE_DEAD] = "dead",
	    [DIFFERENCE_STATUS] = "status",
	    [DIFFERENCE_CONTENT] = "content",
	    [DIFFERENCE_REQUEST] = "request",
	    [DIFFERENCE_DANGLING] = "dangling",
	    [DIFFERENCE_KEY_TWICE] = "key_twice",
	    [DIFFERENCE_BUYER] = "buyer",
	    [DIFFERENCE_LIMIT] = "limit",
	    [DIFFERENCE_UNITS] = "units",
	    [DIFFERENCE_SOLD] = "sold",
	    [DIFFERENCE_OVERSOLD] = "oversold",
	    [DIFFERENCE_UNDEFINED] = "undefined",
	    [DIFFERENCE_TERMS] = "terms",
	};

	return names[kind];
}

/* --- Memory --- */

void
audit_init(struct audit *a)
{
	*a = (struct audit){.orders = NULL};
}

void
audit_free(struct audit *a)
{
	struct text_block *block;

	while ((block = a->texts) != NULL) {
		a->texts = block->next;
		free(block);
	}
	free(a->orders);
	free(a->buyers);
	free(a->requests);
	free(a->differences);
	audit_init(a);
}

/* len is far below BLOCK_SIZE: users and keys have their limits. */
static const char *
keep_text(struct audit *a, const char *text, size_t len)
{
	struct text_block *block = a->texts;
	char *copy;

	if (len == 0)
		return "";
	if (len >= BLOCK_SIZE)
		len = BLOCK_SIZE - 1;
	if (block == NULL || block->used + len + 1 > BLOCK_SIZE) {
		block = malloc(sizeof(*block));
		if (block == NULL)
			no_memory();
		block->next = a->texts;
		block->used = 0;
		a->texts = block;
	}
	copy = block->text + block->used;
	memcpy(copy, text, len);
	copy[len] = '\0';
	block->used += len + 1;
	return copy;
}

/* The array, with room for one more of that size. */
static void *
make_room(void *array, size_t n, size_t *size, size_t each)
{
	if (n < *size)
		return array;
	*size = *size == 0 ? 1024 : *size * 2;
	array = realloc(array, *size * each);
	if (array == NULL)
		no_memory();
	return array;
}

static struct audit_order *
new_order(struct audit *a, const char *id)
{
	struct audit_order *o;

	a->orders =
	    make_room(a->orders, a->orders_n, &a->orders_size, sizeof(*o));
	o = &a->orders[a->orders_n++];
	*o = (struct audit_order){
	    .user_id = "", .mysql_user_id = "", .request_key = ""};
	strncpy(o->id, id, sizeof(o->id) - 1);
	return o;
}

static struct audit_buyer *
new_buyer(struct audit *a, const char *user_id)
{
	struct audit_buyer *b;

	a->buyers =
	    make_room(a->buyers, a->buyers_n, &a->buyers_size, sizeof(*b));
	b = &a->buyers[a->buyers_n++];
	*b = (struct audit_buyer){.user_id = user_id};
	return b;
}

static struct audit_request *
new_request(struct audit *a, const char *user_id, const char *request_key,
    const char *order_id)
{
	struct audit_request *r;

	a->requests = make_room(
	    a->requests, a->requests_n, &a->requests_size, sizeof(*r));
	r = &a->requests[a->requests_n++];
	*r = (struct audit_request){
	    .user_id = user_id, .request_key = request_key};
	strncpy(r->order_id, order_id, sizeof(r->order_id) - 1);
	return r;
}

/* --- What the stores say --- */

void
audit_add_redis(struct audit *a, const char *order_id, const char *state,
    int64_t quantity, const char *user_id)
{
	struct audit_order *o = new_order(a, order_id);

	o->redis = o->redis_now = (unsigned char)order_state_parse(state);
	o->quantity = quantity;
	o->user_id = keep_text(a, user_id, strlen(user_id));
}

void
audit_add_buyer(struct audit *a, const char *user_id, int64_t units)
{
	new_buyer(a, keep_text(a, user_id, strlen(user_id)))->held = units;
}

void
audit_add_request(struct audit *a, const char *request, const char *order_id)
{
	size_t user_len = strcspn(request, " ");
	const char *key = request + user_len + (request[user_len] == ' ');

	new_request(a, keep_text(a, request, user_len),
	    keep_text(a, key, strlen(key)), order_id)
	    ->is_entry = true;
}

/* What a message says of an order. */
static struct audit_order *
add_message(struct audit *a, const struct order *order)
{
	struct audit_order *o = new_order(a, order->id);

	o->quantity = order->quantity;
	o->user_id = keep_text(a, order->user_id, strlen(order->user_id));
	o->request_key =
	    keep_text(a, order->request_key, strlen(order->request_key));
	return o;
}

void
audit_add_outbox(struct audit *a, const struct order *order)
{
	add_message(a, order)->in_outbox = true;
}

void
audit_add_parked(struct audit *a, const struct order *order)
{
	add_message(a, order)->is_parked = true;
}

void
audit_add_mysql(struct audit *a, const struct order *order, const char *status)
{
	struct audit_order *o = add_message(a, order);

	o->mysql = (unsigned char)order_state_parse(status);
	o->mysql_quantity = o->quantity;
	o->mysql_user_id = o->user_id;
}

/* --- Sorting --- */

/* Redis' word on an order comes first. */
static int
compare_orders(const void *a, const void *b)
{
	const struct audit_order *left = a, *right = b;
	int order = strcmp(left->id, right->id);

	if (order != 0)
		return order;
	return (right->redis != ORDER_ABSENT) - (left->redis != ORDER_ABSENT);
}

static int
compare_buyers(const void *a, const void *b)
{
	return strcmp(((const struct audit_buyer *)a)->user_id,
	    ((const struct audit_buyer *)b)->user_id);
}

/* Redis' entry comes first. */
static int
compare_requests(const void *a, const void *b)
{
	const struct audit_request *left = a, *right = b;
	int order = strcmp(left->user_id, right->user_id);

	if (order == 0)
		order = strcmp(left->request_key, right->request_key);
	if (order == 0)
		order = right->is_entry - left->is_entry;
	return order != 0 ? order : strcmp(left->order_id, right->order_id);
}

static void
merge_order(struct audit_order *to, const struct audit_order *from)
{
	if (from->mysql != ORDER_ABSENT) {
		to->mysql = from->mysql;
		to->mysql_quantity = from->mysql_quantity;
		to->mysql_user_id = from->mysql_user_id;
	}
	to->in_outbox = to->in_outbox || from->in_outbox;
	to->is_parked = to->is_parked || from->is_parked;
	if (to->request_key[0] == '\0')
		to->request_key = from->request_key;
}

/* qsort() must not see NULL, not even for nothing. */
static void
sort(void *array, size_t n, size_t each,
    int (*compare)(const void *, const void *))
{
	if (n > 0)
		qsort(array, n, each, compare);
}

static int
compare_order_id(const void *id, const void *order)
{
	return strcmp(id, ((const struct audit_order *)order)->id);
}

static struct audit_order *
find_order(const struct audit *a, const char *id)
{
	if (a->orders_n == 0) /* bsearch() must not see NULL either */
		return NULL;
	return bsearch(
	    id, a->orders, a->orders_n, sizeof(*a->orders), compare_order_id);
}

void
audit_close(struct audit *a)
{
	struct audit_order *orders = a->orders, *o;
	size_t i, n = 0;

	sort(orders, a->orders_n, sizeof(*orders), compare_orders);
	for (i = 0; i < a->orders_n; i++) {
		if (n > 0 && strcmp(orders[n - 1].id, orders[i].id) == 0)
			merge_order(&orders[n - 1], &orders[i]);
		else
			orders[n++] = orders[i];
	}
	a->orders_n = n;
	/* What only Redis has knows its key from there. */
	for (i = 0; i < a->requests_n; i++) {
		o = find_order(a, a->requests[i].order_id);
		if (o != NULL && o->request_key[0] == '\0' &&
		    strcmp(o->user_id, a->requests[i].user_id) == 0)
			o->request_key = a->requests[i].request_key;
	}
}

/* --- One order --- */

static bool
is_known(const struct audit_order *o)
{
	return o->redis != ORDER_ABSENT;
}

/* Booked, or on its way there, and Redis has forgotten it. */
static bool
is_unknown(const struct audit_order *o)
{
	return !is_known(o) && !o->is_newer &&
	       (o->mysql == ORDER_CONFIRMED || o->in_outbox);
}

/* Its units are taken, and MySQL has not heard of it. */
static bool
is_moving(const struct audit_order *o)
{
	return o->mysql == ORDER_ABSENT && !o->is_elsewhere &&
	       order_state_is_live(o->redis);
}

static bool
is_dead(const struct audit_order *o)
{
	return is_moving(o) && !o->in_outbox && o->is_parked &&
	       order_state_is_live(o->redis_now);
}

static bool
is_lost(const struct audit *a, const struct audit_order *o)
{
	return is_moving(o) && !o->in_outbox && !o->is_parked &&
	       a->queue_is_empty;
}

static bool
is_untold(const struct audit_order *o)
{
	return is_known(o) && o->mysql != ORDER_ABSENT &&
	       o->mysql != o->redis_now;
}

enum suspicion
audit_suspect(const struct audit *a, const struct audit_order *o)
{
	if (is_unknown(o) || is_untold(o) || is_dead(o))
		return SUSPECT_REDIS;
	return is_lost(a, o) ? SUSPECT_MYSQL : SUSPECT_NOTHING;
}

bool
audit_may_clear(const struct audit *a, const struct audit_order *o)
{
	return is_untold(o) || is_lost(a, o) || is_dead(o);
}

bool
audit_lacks_definition(const struct audit *a)
{
	const struct sale *mysql = &a->mysql_sale;
	bool is_there =
	    a->has_book &&
	    (mysql->revision > a->sale.revision ||
		(mysql->revision == a->sale.revision && a->mysql_defines));

	return !is_there && !a->outbox_defines && a->queue_is_empty;
}

/* --- The judgement --- */

struct court {
	struct audit *audit;
	int64_t remaining, live; /* units, when every order is mended */
};

static void
name(struct court *c, const struct difference *d)
{
	static const struct audit_order nothing = {
	    .user_id = "", .request_key = ""};
	const struct audit_order *o = d->order != NULL ? d->order : &nothing;
	struct audit *a = c->audit;
	struct difference *to;

	a->differences = make_room(a->differences, a->differences_n,
	    &a->differences_size, sizeof(*to));
	to = &a->differences[a->differences_n++];
	*to = *d;
	if (to->order_id == NULL)
		to->order_id = o->id;
	if (to->user_id == NULL)
		to->user_id = o->user_id;
	if (to->request_key == NULL)
		to->request_key = o->request_key;
}

static void
name_order(
    struct court *c, enum difference_kind kind, const struct audit_order *o)
{
	name(c, &(struct difference){.kind = kind, .order = o});
}

static void
note_moving(struct audit *a, const struct audit_order *o)
{
	int64_t since = uuid_time_ms(o->id);

	if (o->in_outbox)
		a->in_outbox++;
	else
		a->in_queue++;
	if (a->oldest_moving == 0 || since < a->oldest_moving)
		a->oldest_moving = since;
}

static void
judge_order(struct court *c, const struct audit_order *o)
{
	struct audit *a = c->audit;

	if (is_lost(a, o))
		name_order(c, DIFFERENCE_LOST, o);
	else if (is_dead(o))
		name_order(c, DIFFERENCE_DEAD, o);
	else if (is_moving(o))
		note_moving(a, o);
	if (is_unknown(o))
		name_order(c, DIFFERENCE_UNKNOWN, o);
	if (is_untold(o))
		name_order(c, DIFFERENCE_STATUS, o);
	if (o->is_elsewhere ||
	    (is_known(o) && o->mysql != ORDER_ABSENT &&
		(o->quantity != o->mysql_quantity ||
		    strcmp(o->user_id, o->mysql_user_id) != 0)))
		name_order(c, DIFFERENCE_CONTENT, o);
}

/* Where they disagree, MySQL's word: it has sold them. */
static int64_t
units_of(const struct audit_order *o)
{
	return o->mysql == ORDER_CONFIRMED ? o->mysql_quantity : o->quantity;
}

/* What the sums will be when all that was named of this order is mended. */
static void
count_order(struct court *c, const struct audit_order *o)
{
	struct audit *a = c->audit;
	bool is_live = o->mysql != ORDER_ABSENT
			   ? o->mysql == ORDER_CONFIRMED
			   : order_state_is_live(o->redis) || is_unknown(o);

	a->rejected_orders +=
	    o->mysql == ORDER_REJECTED || o->redis == ORDER_REJECTED;
	a->parked_orders += o->is_parked && o->mysql == ORDER_ABSENT;
	if (o->mysql == ORDER_CONFIRMED) {
		a->confirmed_orders++;
		a->confirmed_units += o->mysql_quantity;
	}
	if (o->is_newer)
		return;
	if (is_dead(o))
		c->remaining += o->quantity;
	else if (is_live)
		c->live += units_of(o);
	if (is_live && is_known(o) && !order_state_is_live(o->redis))
		c->remaining -=
		    o->quantity < c->remaining ? o->quantity : c->remaining;
	if (order_state_is_live(o->redis) || is_unknown(o))
		new_buyer(a, o->user_id)->wanted = units_of(o);
	if (o->mysql == ORDER_CONFIRMED)
		new_buyer(a, o->mysql_user_id)->confirmed = o->mysql_quantity;
	if (o->request_key[0] != '\0' && (is_known(o) || is_unknown(o)))
		new_request(a,
		    o->mysql != ORDER_ABSENT ? o->mysql_user_id : o->user_id,
		    o->request_key, o->id);
}

static void
judge_buyer(struct court *c, const struct audit_buyer *b)
{
	int64_t limit = c->audit->sale.limit;
	int64_t most = b->wanted > b->confirmed ? b->wanted : b->confirmed;

	if (b->held != b->wanted)
		name(c, &(struct difference){.kind = DIFFERENCE_BUYER,
			    .user_id = b->user_id,
			    .found = b->held,
			    .expected = b->wanted});
	if (limit > 0 && most > limit)
		name(c, &(struct difference){.kind = DIFFERENCE_LIMIT,
			    .user_id = b->user_id,
			    .found = most,
			    .expected = limit});
}

static void
judge_buyers(struct court *c)
{
	struct audit *a = c->audit;
	struct audit_buyer *list = a->buyers, *sum;
	size_t i, j;

	sort(list, a->buyers_n, sizeof(*list), compare_buyers);
	for (i = 0; i < a->buyers_n; i = j) {
		sum = &list[i];
		for (j = i + 1;
		     j < a->buyers_n && compare_buyers(sum, &list[j]) == 0;
		     j++) {
			sum->held += list[j].held;
			sum->wanted += list[j].wanted;
			sum->confirmed += list[j].confirmed;
		}
		judge_buyer(c, sum);
	}
}

/* All that has one user and key: list[0] is Redis' entry, if there is one. */
static void
judge_request(struct court *c, const struct audit_request *list, size_t n)
{
	const struct audit_order *o = find_order(c->audit, list[0].order_id);
	struct difference d = {.order = o,
	    .order_id = list[0].order_id,
	    .user_id = list[0].user_id,
	    .request_key = list[0].request_key};
	size_t i;

	if (!list[0].is_entry) {
		d.kind = DIFFERENCE_REQUEST;
		name(c, &d);
	} else if (o == NULL || (!is_known(o) && !is_unknown(o))) {
		d.kind = DIFFERENCE_DANGLING;
		name(c, &d);
	}
	for (i = 1; i < n; i++) {
		if (strcmp(list[i].order_id, list[0].order_id) == 0)
			continue;
		d.kind = DIFFERENCE_KEY_TWICE;
		d.order_id = list[i].order_id;
		d.order = find_order(c->audit, list[i].order_id);
		name(c, &d);
	}
}

static void
judge_requests(struct court *c)
{
	struct audit *a = c->audit;
	struct audit_request *list = a->requests;
	size_t i, j;

	sort(list, a->requests_n, sizeof(*list), compare_requests);
	for (i = 0; i < a->requests_n; i = j) {
		for (j = i + 1;
		     j < a->requests_n &&
		     strcmp(list[i].user_id, list[j].user_id) == 0 &&
		     strcmp(list[i].request_key, list[j].request_key) == 0;)
			j++;
		judge_request(c, &list[i], j - i);
	}
}

static void
judge_definition(struct court *c)
{
	const struct audit *a = c->audit;

	if (audit_lacks_definition(a))
		name(c, &(struct difference){.kind = DIFFERENCE_UNDEFINED,
			    .found = a->has_book ? a->mysql_sale.revision : 0,
			    .expected = a->sale.revision});
}

static void
compare_term(struct court *c, const char *term, int64_t redis, int64_t mysql)
{
	if (redis != mysql)
		name(c, &(struct difference){.kind = DIFFERENCE_TERMS,
			    .term = term,
			    .found = redis,
			    .expected = mysql});
}

/* A revision never changes: where two say something else of it, one has been
 * tampered with, and which one nobody here can know. */
static void
judge_terms(struct court *c)
{
	const struct audit *a = c->audit;
	const struct sale *redis = &a->sale, *mysql = &a->mysql_sale;

	if (a->has_book && mysql->revision > redis->revision)
		compare_term(c, "revision", redis->revision, mysql->revision);
	if (!a->has_book || mysql->revision != redis->revision)
		return;
	compare_term(c, "total", redis->total, mysql->total);
	if (!a->mysql_defines)
		return;
	compare_term(c, "limit", redis->limit, mysql->limit);
	compare_term(c, "state", redis->state, mysql->state);
}

/* The lower one, where they disagree: nothing is sold that may not be there. */
static int64_t
total_of(const struct audit *a)
{
	return a->has_book && a->mysql_sale.total < a->sale.total
		   ? a->mysql_sale.total
		   : a->sale.total;
}

/*
 * Too few units for sale may be those of an order that Redis has forgotten
 * and the queue still holds; too many are never right.
 */
static void
judge_sums(struct court *c)
{
	struct audit *a = c->audit;
	int64_t gap = total_of(a) - c->remaining - c->live;

	a->live_units = c->live;
	if (gap < 0 || (gap > 0 && a->queue_is_empty))
		name(c, &(struct difference){.kind = DIFFERENCE_UNITS,
			    .found = c->remaining,
			    .expected = c->remaining + gap});
	else
		a->unexplained_units = gap;
	if (a->has_book && a->sold != a->confirmed_units)
		name(c, &(struct difference){.kind = DIFFERENCE_SOLD,
			    .found = a->sold,
			    .expected = a->confirmed_units});
	if (a->confirmed_units > total_of(a))
		name(c, &(struct difference){.kind = DIFFERENCE_OVERSOLD,
			    .found = a->confirmed_units,
			    .expected = total_of(a)});
}

void
audit_judge(struct audit *a)
{
	struct court c = {.audit = a, .remaining = a->remaining};
	size_t i;

	for (i = 0; i < a->orders_n; i++) {
		judge_order(&c, &a->orders[i]);
		count_order(&c, &a->orders[i]);
	}
	judge_requests(&c);
	judge_buyers(&c);
	judge_sums(&c);
	judge_definition(&c);
	judge_terms(&c);
}
