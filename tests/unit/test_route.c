/*
 * Paths, methods, the admin token and bodies, asked through the FastCGI edge
 * of a responder without a Redis: what gets past all checks is answered 503.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../fcgi/handover.h"
#include "../../fcgi/responder.h"
#include "../../fcgi/route.h"
#include "../../fcgi/stats.h"
#include "../records.h"

#define TOKEN "a-token-of-some-length"
#define JSON "application/json"

static struct config config = {
    .default_sku = "bike", .admin_token = TOKEN, .redis_url = ""};
static struct responder responder = {.config = &config};
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listen_fd, handover[2];
static char reply[8192]; /* the last one: header lines and body */

/* --- The edge --- */

static void
on_drained(void *arg)
{
	(void)arg;
}

static int
set_up(void **state)
{
	struct fastcgi_options options = {.max_connections = 8,
	    .handler = route_request,
	    .responder = &responder,
	    .drained = on_drained};
	char why[256];

	(void)state;
	stats_init(1);
	responder.loop = ev_loop_new(EVFLAG_AUTO);
	snprintf(address.sun_path, sizeof(address.sun_path),
	    "/tmp/test_route.%ld", (long)getpid());
	unlink(address.sun_path);
	listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
	    bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listen_fd, 16), 0);
	assert_true(handover_open(handover));
	options.listen_fd = listen_fd;
	memcpy(options.handover, handover, sizeof(handover));
	assert_int_equal(
	    fastcgi_new(&responder.edge, responder.loop, &options), ERR_OK);
	assert_int_equal(
	    redis_new(&responder.redis, responder.loop,
		"unix:///nonexistent/redis.sock", 1000, why, sizeof(why)),
	    ERR_OK);
	responder.reservations =
	    reservations_new(responder.loop, responder.redis);
	assert_non_null(responder.reservations);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	reservations_free(responder.reservations);
	redis_free(responder.redis);
	fastcgi_drain(responder.edge, false);
	ev_run(responder.loop, EVRUN_NOWAIT);
	fastcgi_free(responder.edge);
	ev_loop_destroy(responder.loop);
	close(listen_fd);
	close(handover[0]);
	close(handover[1]);
	unlink(address.sun_path);
	return 0;
}

/* --- A web server --- */

struct request {
	const char *method, *path, *type, *authorization, *key, *body;
};

static void
make_request(struct bytes *out, const struct request *r)
{
	static struct bytes params;
	char length[24];

	params.len = out->len = 0;
	snprintf(length, sizeof(length), "%zu", strlen(r->body));
	add_text(&params, "REQUEST_METHOD", r->method);
	add_text(&params, "SCRIPT_NAME", r->path);
	add_text(&params, "CONTENT_LENGTH", length);
	add_text(&params, "CONTENT_TYPE", r->type);
	add_text(&params, "HTTP_AUTHORIZATION", r->authorization);
	add_text(&params, "HTTP_IDEMPOTENCY_KEY", r->key);
	add_request(out, false, &params, r->body, strlen(r->body));
}

/* Ask, and return the status of the answer; all of it is in reply. */
static int
ask_all(const struct request *r)
{
	static struct bytes bytes;
	const char *status;
	size_t len = 0;
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	make_request(&bytes, r);
	assert_int_equal(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(send(fd, bytes.data, bytes.len, 0), bytes.len);
	for (int i = 0; i < 20; i++)
		ev_run(responder.loop, EVRUN_NOWAIT);
	while ((n = recv(fd, reply + len, sizeof(reply) - len - 1,
		    MSG_DONTWAIT)) > 0)
		len += (size_t)n;
	close(fd);
	for (size_t i = 0; i < len; i++) /* of the records' headers */
		if (reply[i] == '\0')
			reply[i] = '.';
	reply[len] = '\0';
	status = strstr(reply, "Status: ");
	assert_non_null(status);
	return (int)strtol(status + strlen("Status: "), NULL, 10);
}

static int
ask(const char *method, const char *path)
{
	return ask_all(&(struct request){method, path, "", "", "", ""});
}

static int
ask_as(const char *authorization)
{
	return ask_all(&(struct request){
	    "POST", "/reset", JSON, authorization, "", "{\"stock\":1}"});
}

static int
buy(const char *type, const char *body)
{
	return ask_all(&(struct request){"POST", "/buy/x", type, "", "", body});
}

static void
assert_says(const char *text)
{
	if (strstr(reply, text) == NULL)
		fail_msg("no %s in: %s", text, reply);
}

/* --- Routes --- */

static void
test_paths(void **state)
{
	static const char *const unknown[] = {"/", "", "/buyx", "/bu", "/buy/",
	    "/stock/", "/orders", "/orders/", "/orders/x", "/healthz/",
	    "/healthz/x", "/readyzz", "/metrics/x", "/Stock", "//stock",
	    "/sales/x", "/admin", "/admin/", "/admin/state"};

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		if (ask("GET", unknown[i]) != 404)
			fail_msg("%s: %s", unknown[i], reply);
	assert_says("\"code\":\"not_found\"");
	assert_int_equal(ask("GET", "/healthz"), 200);
	assert_int_equal(ask("GET", "/metrics"), 200);
	assert_int_equal(ask("GET", "/stock"), 503);
	assert_int_equal(ask("GET", "/stock/x"), 503);
	assert_int_equal(ask("GET", "/sales"), 503);
	assert_int_equal(ask("GET", "/orders/x/y"), 404);
	assert_says("\"code\":\"no_such_order\"");
	assert_int_equal(
	    ask("GET", "/orders/x/01890000-0000-7000-8000-000000000000"), 503);
}

static void
test_methods(void **state)
{
	(void)state;
	assert_int_equal(ask("HEAD", "/healthz"), 200);
	assert_null(strstr(reply, "{"));
	assert_int_equal(ask("POST", "/healthz"), 405);
	assert_says("Allow: GET, HEAD\r\n");
	assert_int_equal(ask("GET", "/buy"), 405);
	assert_says("Allow: POST\r\n");
	assert_int_equal(ask("HEAD", "/buy"), 405);
	assert_int_equal(ask("get", "/healthz"), 405);
	assert_int_equal(ask("", "/healthz"), 405);
	/* Which methods there are is no secret. */
	assert_int_equal(ask("GET", "/reset"), 405);
	assert_int_equal(ask("GET", "/admin/state/x"), 405);
	assert_int_equal(ask("POST", "/admin/stats"), 405);
}

static void
test_admin_token(void **state)
{
	static const char *const wrong[] = {"", TOKEN, "Bearer", "Bearer ",
	    "Basic " TOKEN, "Bearer " TOKEN "x", "Bearer x" TOKEN,
	    "Bearer a-token-of-some-lengt", "Bearer " TOKEN " ",
	    "Bearer\t" TOKEN};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (ask_as(wrong[i]) != 401)
			fail_msg("\"%s\": %s", wrong[i], reply);
	assert_says("WWW-Authenticate: Bearer realm=\"flashsale\"\r\n");
	assert_int_equal(ask_as("Bearer " TOKEN), 503);
	assert_int_equal(ask_as("bearer   " TOKEN), 503);
}

/* Without a token nobody is the admin, not even who sends none. */
static void
test_no_admin(void **state)
{
	(void)state;
	config.admin_token = "";
	assert_int_equal(ask_as(""), 401);
	assert_int_equal(ask_as("Bearer "), 401);
	assert_int_equal(ask_as("Bearer " TOKEN), 401);
	config.admin_token = TOKEN;
}

/* --- Bodies --- */

static void
test_content_types(void **state)
{
	static const char body[] = "{\"userId\":\"u\"}";

	(void)state;
	assert_int_equal(buy("", body), 415);
	assert_int_equal(buy("text/plain", body), 415);
	assert_int_equal(buy("application/jsonx", body), 415);
	assert_int_equal(buy("application/json-patch+json", body), 415);
	assert_int_equal(buy("application/json", body), 503);
	assert_int_equal(buy("Application/JSON;charset=utf-8", body), 503);
	assert_int_equal(buy("application/json ; charset=utf-8", body), 503);
}

static void
test_bad_json(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "\"u\"", "1", "null",
	    "{\"userId\":\"u\"}x", "{\"userId\":\"u\",\"userId\":\"v\"}",
	    "{\"userId\":\"\xff\"}", "{userId:\"u\"}"};
	static char large[BODY_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (buy(JSON, bad[i]) != 400)
			fail_msg("%s: %s", bad[i], reply);
	assert_says("\"code\":\"bad_json\"");
	memset(large, ' ', sizeof(large) - 1);
	assert_int_equal(buy(JSON, large), 413);
	large[BODY_MAX] = '\0';
	memcpy(large, "{\"userId\":\"u\"}", strlen("{\"userId\":\"u\"}"));
	assert_int_equal(buy(JSON, large), 503);
}

static void
test_bad_fields(void **state)
{
	static const struct {
		const char *body, *field;
	} bad[] = {
	    {"{}", "userId"}, {"{\"userId\":null}", "userId"},
	    {"{\"userId\":1}", "userId"}, {"{\"userId\":\"\"}", "userId"},
	    {"{\"userId\":\"a b\"}", "userId"},
	    {"{\"userId\":\"u\",\"quantity\":0}", "quantity"},
	    {"{\"userId\":\"u\",\"quantity\":1001}", "quantity"},
	    {"{\"userId\":\"u\",\"quantity\":1.0}", "quantity"},
	    {"{\"userId\":\"u\",\"quantity\":\"1\"}", "quantity"},
	    {"{\"userId\":\"\",\"quantity\":0}", "userId"}, /* the first */
	};
	char expected[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (buy(JSON, bad[i].body) != 422)
			fail_msg("%s: %s", bad[i].body, reply);
		snprintf(expected, sizeof(expected), "\"field\":\"%s\"",
		    bad[i].field);
		assert_says(expected);
	}
	assert_int_equal(
	    buy(JSON, "{\"userId\":\"u\",\"quantity\":null,\"other\":[]}"),
	    503);
	assert_int_equal(ask_all(&(struct request){"POST", "/buy", JSON, "",
			     "a b", "{\"userId\":\"u\"}"}),
	    422);
	assert_says("\"field\":\"Idempotency-Key\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_paths),
	    cmocka_unit_test(test_methods),
	    cmocka_unit_test(test_admin_token),
	    cmocka_unit_test(test_no_admin),
	    cmocka_unit_test(test_content_types),
	    cmocka_unit_test(test_bad_json),
	    cmocka_unit_test(test_bad_fields),
	};

	return cmocka_run_group_tests_name("route", tests, set_up, tear_down);
}
