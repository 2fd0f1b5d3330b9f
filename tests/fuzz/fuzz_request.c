/*
 * Requests through router and handlers, against a Redis that is away: what
 * passes all checks is answered 503.  Every request has exactly one answer,
 * well-formed and without a line that the buyer has written; only the admin's
 * token opens the admin's doors, and only a correct purchase gets to Redis.
 *
 * An input is five lines (method, path, content type, authorization,
 * idempotency key) and a body.
 */
#include "edge.h"

#include <strings.h>

#include <jansson.h>

#include "../../fcgi/responder.h"
#include "../../fcgi/route.h"
#include "../../fcgi/stats.h"
#include "log.h"

#define TOKEN "a-token-of-some-length"

enum { METHOD, PATH, TYPE, AUTHORIZATION, KEY, BODY, FIELDS };

static struct config config = {
    .default_sku = "bike", .admin_token = TOKEN, .redis_url = ""};
static struct responder responder = {.config = &config};

/* What was asked, as the edge understands it, and what came back. */
static struct record_request request;
static char reply[REPLY_MAX + 1024];
static struct reply {
	int status;
	const char *body;
	size_t body_len, content_length;
	bool is_problem;
} r;

/* --- Asking --- */

static void
write_request(struct bytes *out, const uint8_t *data, size_t size)
{
	static const char *const names[] = {"REQUEST_METHOD", "SCRIPT_NAME",
	    "CONTENT_TYPE", "HTTP_AUTHORIZATION", "HTTP_IDEMPOTENCY_KEY"};
	static struct bytes params;

	params.len = out->len = 0;
	for (int i = METHOD; i < BODY; i++) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end != NULL ? (size_t)(end - data) : size;

		add_param(&params, names[i], (const char *)data, len, false);
		data += len + (end != NULL);
		size -= len + (end != NULL);
	}
	add_request(out, true, &params, (const char *)data, size);
}

/* Send it, on a connection that is kept, and read the answer. */
static size_t
ask(const struct bytes *bytes)
{
	static uint8_t raw[sizeof(reply) + 256];
	static int fd = -1;
	size_t len;
	bool at_end;

	if (fd < 0)
		fd = connect_to_edge();
	MUST(send(fd, bytes->data, bytes->len, MSG_DONTWAIT) ==
	     (ssize_t)bytes->len);
	settle();
	len = receive(fd, raw, sizeof(raw), &at_end);
	MUST(!at_end);
	MUST(read_reply(raw, len, 1, reply, sizeof(reply), &len));
	return len;
}

/* --- Any answer --- */

static bool
is_header_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ-",
			name[i]) == NULL)
			return false;
	return len > 0;
}

static void
take_header(const char *name, const char *value)
{
	static const char *const known[] = {"Status", "Content-Type",
	    "Content-Length", "Cache-Control", "Retry-After", "Allow",
	    "WWW-Authenticate", "Location", "Idempotency-Replayed"};
	bool is_known = false;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		is_known |= strcmp(name, known[i]) == 0;
	MUST(is_known);
	MUST(fuzz_is_line(value, 512));
	if (strcmp(name, "Status") == 0)
		r.status = (int)strtol(value, NULL, 10);
	if (strcmp(name, "Content-Length") == 0)
		r.content_length = (size_t)strtoul(value, NULL, 10);
	if (strcmp(name, "Content-Type") == 0)
		r.is_problem = strcmp(value, "application/problem+json") == 0;
}

static void
read_head(size_t len)
{
	char *line = reply, *end, *colon;

	memset(&r, 0, sizeof(r));
	for (;; line = end + 2) {
		end = strstr(line, "\r\n");
		MUST(end != NULL);
		if (end == line)
			break;
		*end = '\0';
		colon = strstr(line, ": ");
		MUST(colon != NULL);
		MUST(is_header_name(line, (size_t)(colon - line)));
		*colon = '\0';
		take_header(line, colon + 2);
	}
	r.body = end + 2;
	r.body_len = len - (size_t)(r.body - reply);
}

static void
must_be_problem(void)
{
	json_t *json = json_loadb(r.body, r.body_len, 0, NULL);

	MUST(json_is_object(json));
	MUST(json_integer_value(json_object_get(json, "status")) == r.status);
	MUST(json_string_length(json_object_get(json, "code")) > 0);
	MUST(json_string_length(json_object_get(json, "title")) > 0);
	MUST(json_string_length(json_object_get(json, "detail")) > 0);
	json_decref(json);
}

static void
must_be_answer(void)
{
	static const int possible[] = {
	    200, 400, 401, 404, 405, 413, 415, 422, 503};
	bool is_possible = false;

	for (size_t i = 0; i < sizeof(possible) / sizeof(possible[0]); i++)
		is_possible |= r.status == possible[i];
	MUST(is_possible);
	MUST(r.is_problem == (r.status != 200));
	if (strcmp(request.method, "HEAD") == 0) {
		MUST(r.body_len == 0);
		return;
	}
	MUST(r.body_len == r.content_length);
	if (r.is_problem)
		must_be_problem();
}

/* --- What we would have said --- */

static bool
starts_with(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool
is_admin(void)
{
	const char *token = request.authorization;

	if (strncasecmp(token, "Bearer ", 7) != 0)
		return false;
	for (token += 7; *token == ' '; token++)
		;
	return strcmp(token, TOKEN) == 0;
}

/* Something has to follow, as far as the routes are concerned. */
static bool
is_below(const char *path, const char *with)
{
	return starts_with(path, with) && path[strlen(with)] != '\0';
}

static void
check_admin(void)
{
	const char *path = request.path;
	bool posts = strcmp(request.method, "POST") == 0;
	bool gets = strcmp(request.method, "GET") == 0 ||
		    strcmp(request.method, "HEAD") == 0;
	bool for_admins = (gets && strcmp(path, "/admin/stats") == 0) ||
			  (posts && (strcmp(path, "/reset") == 0 ||
					is_below(path, "/reset-stock/") ||
					is_below(path, "/admin/state/")));

	MUST((r.status == 401) == (for_admins && !is_admin()));
}

static bool
is_json_type(void)
{
	const char *rest = request.content_type + strlen("application/json");

	if (strncasecmp(request.content_type, "application/json",
		strlen("application/json")) != 0)
		return false;
	while (*rest == ' ' || *rest == '\t')
		rest++;
	return *rest == '\0' || *rest == ';';
}

static bool
is_good_body(void)
{
	json_t *json = json_loadb(
	    request.body, request.body_len, JSON_REJECT_DUPLICATES, NULL);
	json_t *user = json_object_get(json, "userId");
	json_t *quantity = json_object_get(json, "quantity");
	bool good;

	good = json_is_string(user) &&
	       user_id_is_valid(
		   json_string_value(user), json_string_length(user)) &&
	       (quantity == NULL || json_is_null(quantity) ||
		   (json_is_integer(quantity) &&
		       json_integer_value(quantity) >= 1 &&
		       json_integer_value(quantity) <= QUANTITY_MAX));
	json_decref(json);
	return good;
}

static bool
is_good_purchase(void)
{
	const char *sku = strcmp(request.path, "/buy") == 0
			      ? config.default_sku
			      : request.path + strlen("/buy/");
	const char *key = request.idempotency_key;

	return strcmp(request.method, "POST") == 0 &&
	       sku_is_valid(sku, strlen(sku)) && is_json_type() &&
	       !request.body_too_large && is_good_body() &&
	       (key[0] == '\0' || request_key_is_valid(key, strlen(key)));
}

static void
check_purchase(void)
{
	if (strcmp(request.path, "/buy") == 0 ||
	    starts_with(request.path, "/buy/"))
		MUST((r.status == 503) == is_good_purchase());
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char why[256];

	(void)argc;
	(void)argv;
	log_init("fuzz", LOG_LEVEL_ERROR, false);
	stats_init(1);
	loop = responder.loop = ev_loop_new(EVFLAG_AUTO);
	MUST(redis_new(&responder.redis, loop, "unix:///nonexistent/redis.sock",
		 1000, why, sizeof(why)) == ERR_OK);
	responder.reservations = reservations_new(loop, responder.redis);
	MUST(responder.reservations != NULL);
	responder.sqs_seen = 1e12; /* so it is not asked */
	start_edge(route_request, &responder);
	responder.edge = edge;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bytes bytes;

	if (size > 16 * 1024)
		return 0;
	write_request(&bytes, data, size);
	MUST(record_read_request(bytes.data, bytes.len, &request) ==
	     RECORD_WHOLE);
	read_head(ask(&bytes));
	must_be_answer();
	check_admin();
	check_purchase();
	return 0;
}
