/*
 * Answers of Redis, through the real client on a real connection: whatever
 * the keys of a sale may hold, each question is answered exactly once, and
 * what is read fits its place.
 *
 * An input is a digit that chooses the question and values, one a line, as
 * RESP has them: "$text", ":number", "-error", "_" for nil, "*3" for an array
 * of the next three.  What is missing is nil.  So Redis' answers are always
 * whole; that hiredis can read is for hiredis to prove.
 */
#include "fuzz.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "outbox.h"
#include "rebuild.h"
#include "redis.h"
#include "reservations.h"
#include "sale.h"

#define DEPTH_MAX 4
#define ELEMENTS_MAX 64
#define ORDER_BYTES_MAX 1024 /* lib/message.c promises an order to be less */

static struct ev_loop *loop;
static struct redis *redis;
static struct reservations *reservations;
static int server = -1;	 /* its end of the connection */
static unsigned waiting; /* for the answers to our questions */

/* --- The server --- */

struct input {
	const char *data;
	size_t left;
};

/* The next line, without its end; "" when there is none. */
static struct input
take_line(struct input *in)
{
	struct input line = *in;
	const char *end = memchr(in->data, '\n', in->left);

	if (end != NULL)
		line.left = (size_t)(end - in->data);
	in->data += line.left + (end != NULL);
	in->left -= line.left + (end != NULL);
	return line;
}

static void
write_value(FILE *out, struct input *in, unsigned depth)
{
	struct input line = take_line(in);
	char kind = line.left > 0 ? line.data[0] : '_';
	char *text = fuzz_text(line.data, line.left);
	long number = strtol(text + (kind != '_'), NULL, 10);

	if (kind == '*' && depth < DEPTH_MAX) {
		number = number < 0 ? 0 : number % ELEMENTS_MAX;
		fprintf(out, "*%ld\r\n", number);
		for (long i = 0; i < number; i++)
			write_value(out, in, depth + 1);
	} else if (kind == ':')
		fprintf(out, ":%ld\r\n", number);
	else if (kind == '-')
		fprintf(
		    out, "-%.*s\r\n", (int)strcspn(text + 1, "\r"), text + 1);
	else if (kind == '$') {
		fprintf(out, "$%zu\r\n", line.left - 1);
		fwrite(line.data + 1, 1, line.left - 1, out);
		fputs("\r\n", out);
	} else
		fputs("$-1\r\n", out);
	free(text);
}

/* How many commands are there in what the client has sent? */
static unsigned
count_commands(const char *data, const char *end)
{
	unsigned n = 0;
	char *at;

	while (data < end) {
		long words = strtol(data + 1, &at, 10);

		MUST(*data == '*');
		for (at += 2; words-- > 0; at += 2) {
			long len = strtol(at + 1, &at, 10);

			at += 2 + len;
		}
		data = at;
		n++;
	}
	return n;
}

/* Answer the commands that have come; how many were there? */
static unsigned
serve(struct input *in)
{
	static char commands[1024 * 1024];
	ssize_t len =
	    recv(server, commands, sizeof(commands) - 1, MSG_DONTWAIT);
	unsigned n;
	char *answer;
	size_t size;
	FILE *out;

	if (len <= 0)
		return 0;
	commands[len] = '\0';
	n = count_commands(commands, commands + len);
	out = open_memstream(&answer, &size);
	MUST(out != NULL);
	for (unsigned i = 0; i < n; i++)
		write_value(out, in, 0);
	fclose(out);
	MUST(send(server, answer, size, MSG_DONTWAIT) == (ssize_t)size);
	free(answer);
	return n;
}

static void
turn(void)
{
	for (int i = 0; i < 3; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

/* --- What must be so of the answers --- */

#define IS_TEXT(field) (strnlen(field, sizeof(field)) < sizeof(field))

static void
on_reserved(const struct reservation *r, void *arg)
{
	const struct order *wanted = arg;

	MUST(r->outcome <= RESERVE_UNKNOWN);
	MUST(strcmp(r->order.sku, wanted->sku) == 0);
	MUST(strcmp(r->order.user_id, wanted->user_id) == 0);
	MUST(r->order.quantity == wanted->quantity);
	MUST(IS_TEXT(r->order.id) && IS_TEXT(r->order.sale_id));
	MUST(IS_TEXT(r->order.currency));
	if (r->outcome == RESERVE_OK)
		MUST(strcmp(r->order.id, wanted->id) == 0);
	if (r->outcome == RESERVE_REPLAYED)
		MUST(IS_TEXT(r->state) && r->state[0] != '\0');
	waiting--;
}

/* What can be sent fits, and the worker can judge it. */
static void
must_be_sendable(const struct message *m)
{
	size_t size =
	    m->type == MESSAGE_ORDER ? ORDER_BYTES_MAX + 1 : MESSAGE_MAX + 1;
	char *buf = malloc(size), why[256];
	struct message back;
	size_t len;

	MUST(buf != NULL);
	if (message_encode(m, buf, size, &len) == ERR_OK) {
		MUST(len < size && strlen(buf) == len);
		if (message_decode(buf, len, &back, why, sizeof(why)) == ERR_OK)
			MUST(back.type == m->type);
	} else
		MUST(m->type == MESSAGE_SALE); /* its name is not UTF-8 */
	free(buf);
}

static void
on_outbox(enum err err, const struct outbox_entry *entries, size_t n, void *arg)
{
	(void)arg;
	MUST(err == ERR_OK || n == 0);
	for (size_t i = 0; i < n; i++) {
		const struct message *m = &entries[i].message;
		const char *id =
		    m->type == MESSAGE_ORDER ? m->order.id : m->sale.id;

		MUST(IS_TEXT(entries[i].id));
		if (entries[i].is_damaged)
			continue;
		MUST(uuid_is_valid(id, strlen(id)));
		must_be_sendable(m);
	}
	waiting--;
}

static void
on_taken(enum err err, const struct outbox_message *list, size_t n, void *arg)
{
	(void)arg;
	MUST(err == ERR_OK || n == 0);
	for (size_t i = 0; i < n; i++) {
		const struct outbox_message *m = &list[i];

		MUST(strcmp(m->receipt.sku, "bike") == 0);
		MUST(IS_TEXT(m->receipt.entry_id));
		MUST(m->body != NULL);
		if (m->damage == NULL)
			MUST(m->body_len <= MESSAGE_MAX &&
			     strlen(m->body) == m->body_len);
		else
			MUST(strlen(m->body) <= m->body_len &&
			     strlen(m->body) <= OUTBOX_RAW_MAX);
	}
	waiting--;
}

static void
on_view(enum err err, const struct sale_view *view, void *arg)
{
	const struct sale *sale = &view->sale;

	(void)arg;
	if (err == ERR_OK) {
		MUST(strcmp(sale->sku, "bike") == 0);
		MUST(IS_TEXT(sale->id) && IS_TEXT(sale->name));
		MUST(IS_TEXT(sale->currency));
		MUST(sale_state_name(sale->state) != NULL);
		MUST(sale_status(view, 0) != NULL);
	}
	waiting--;
}

static void
on_list(enum err err, const char *const *skus, size_t n, void *arg)
{
	(void)arg;
	MUST(err == ERR_OK || n == 0);
	for (size_t i = 1; i < n; i++)
		MUST(strcmp(skus[i - 1], skus[i]) <= 0);
	waiting--;
}

static void
on_order(enum err err, const struct order_view *order, void *arg)
{
	(void)arg;
	if (err == ERR_OK)
		MUST(order->state[0] != '\0' && IS_TEXT(order->state) &&
		     IS_TEXT(order->user_id));
	waiting--;
}

static void
on_step(enum rebuild_outcome outcome, int64_t remaining, const char *sale_id,
    void *arg)
{
	(void)remaining;
	(void)arg;
	MUST(outcome <= REBUILD_FAILED);
	MUST(sale_id != NULL);
	waiting--;
}

/* --- The questions --- */

#define ID "01890000-0000-7000-8000-00000000000"

static void
ask(unsigned question)
{
	static struct order wanted[2] = {
	    {.id = ID "1", .sku = "bike", .user_id = "u1", .quantity = 1},
	    {.id = ID "2",
		.sku = "bike",
		.user_id = "u2",
		.quantity = 3,
		.request_key = "k"},
	};

	waiting = 1;
	switch (question) {
	case 0:
		waiting = 2; /* together, in one call */
		for (size_t i = 0; i < 2; i++)
			reservations_ask(
			    reservations, &wanted[i], on_reserved, &wanted[i]);
		break;
	case 1:
		sale_read_outbox(redis, "bike", "", on_outbox, NULL);
		break;
	case 2:
		sale_look(redis, "bike", on_view, NULL);
		break;
	case 3:
		sale_list(redis, on_list, NULL);
		break;
	case 4:
		sale_find_order(redis, "bike", ID "1", on_order, NULL);
		break;
	case 5:
		outbox_take(redis, "bike", 100, 30000, on_taken, NULL);
		break;
	default:
		sale_rebuild_begin(redis, "bike", "token", NULL, on_step, NULL);
	}
}

/* --- Starting --- */

static void
start(void)
{
	char dir[] = "/tmp/fuzz_redis.XXXXXX";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct redis_address to = {.host = ""};
	struct input greeting = {"$PONG\n", 6};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	MUST(mkdtemp(dir) != NULL);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);
	MUST(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	MUST(listen(fd, 1) == 0);
	memcpy(to.path, address.sun_path, sizeof(to.path));
	/* Bare: of what is no master any more, nothing would be read. */
	MUST(redis_new_bare(&redis, loop, "fuzz", &to, 60000) == ERR_OK);
	server = accept(fd, NULL, NULL);
	MUST(server >= 0);
	/* hiredis 1 asks by a second connect() how the first one went. */
	for (int i = 0; i < 100 && !redis_is_ready(redis); i++) {
		turn();
		serve(&greeting);
	}
	MUST(redis_is_ready(redis));
	unlink(address.sun_path);
	rmdir(dir);
	close(fd);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERROR, false);
	loop = ev_loop_new(EVFLAG_AUTO);
	start();
	reservations = reservations_new(loop, redis);
	MUST(reservations != NULL);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in;

	if (size == 0)
		return 0;
	in = (struct input){(const char *)data + 1, size - 1};
	ask((uint8_t)(data[0] - '0') % 7);
	do
		turn();
	while (serve(&in) > 0);
	MUST(waiting == 0);
	MUST(redis_is_ready(redis) && redis_is_idle(redis));
	return 0;
}
