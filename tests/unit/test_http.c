/* The HTTP client against a scripted server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_server.h"
#include "http.h"

#define ANSWER_MAX 1000

/* What the last callback was given, copied. */
static struct {
	unsigned called;
	enum err err;
	int status;
	char body[ANSWER_MAX + 1];
	time_t date;
	char request_id[80], query_error[160];
} seen;

struct fixture {
	struct ev_loop *loop;
	struct http *http;
	struct fake_server server;
};

static void
on_answer(const struct http_response *response, void *arg)
{
	seen.called++;
	seen.err = response->err;
	seen.status = response->status;
	snprintf(seen.body, sizeof(seen.body), "%s", response->body);
	assert_int_equal(strlen(response->body), response->body_len);
	seen.date = response->date;
	snprintf(seen.request_id, sizeof(seen.request_id), "%s",
	    response->request_id);
	snprintf(seen.query_error, sizeof(seen.query_error), "%s",
	    response->query_error);
	if (response->err != ERR_OK)
		assert_true(response->why[0] != '\0');
	if (arg != NULL)
		ev_break(arg, EVBREAK_ALL);
}

static void
start(struct fixture *f, const struct fake_step *steps, size_t n,
    unsigned connections)
{
	struct http_options options = {
	    .max_connections = connections,
	    .ca_bundle = "",
	    .response_max = ANSWER_MAX,
	    .no_proxy = true,
	};

	memset(&seen, 0, sizeof(seen));
	f->loop = ev_loop_new(0);
	fake_start(&f->server, f->loop, steps, n);
	assert_int_equal(http_new(&f->http, f->loop, &options), ERR_OK);
}

static void
stop(struct fixture *f)
{
	http_free(f->http);
	fake_stop(&f->server);
	ev_loop_destroy(f->loop);
}

static void
post(struct fixture *f, const char *body, unsigned timeout_ms, void *arg)
{
	const char *const headers[] = {"X-Test: 1", NULL};
	struct http_request request = {
	    .method = "POST",
	    .url = f->server.url,
	    .headers = headers,
	    .body = body,
	    .body_len = strlen(body),
	    .timeout_ms = timeout_ms,
	};

	http_send(f->http, &request, on_answer, arg);
}

static void
post_and_wait(struct fixture *f, unsigned timeout_ms)
{
	post(f, "hello", timeout_ms, f->loop);
	assert_int_equal(seen.called, 0);
	assert_int_equal(http_in_flight(f->http), 1);
	ev_run(f->loop, 0);
	assert_int_equal(seen.called, 1);
	assert_int_equal(http_in_flight(f->http), 0);
}

static void
test_answer(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200,
	    "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
	    "x-amzn-RequestId:  abc-1 \r\n"
	    "X-Amzn-Query-Error: Code;Sender\r\n",
	    "{}"}};
	struct fixture f;
	char value[64];

	(void)state;
	start(&f, steps, 1, 2);
	post_and_wait(&f, 2000);
	assert_int_equal(seen.err, ERR_OK);
	assert_int_equal(seen.status, 200);
	assert_string_equal(seen.body, "{}");
	assert_int_equal(seen.date, 1767225600);
	assert_string_equal(seen.query_error, "Code;Sender");
	assert_memory_equal(seen.request_id, "abc-1", 5);
	assert_memory_equal(f.server.request[0], "POST / HTTP/1.1\r\n", 17);
	assert_non_null(strstr(f.server.request[0], "\r\n\r\nhello"));
	fake_header(f.server.request[0], "X-Test", value, sizeof(value));
	assert_string_equal(value, "1");
	fake_header(f.server.request[0], "Expect", value, sizeof(value));
	assert_string_equal(value, "");
	stop(&f);
}

/* Status codes are answers, not errors; redirects are not followed. */
static void
test_statuses_and_reuse(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 500, NULL, "<html>"},
	    {FAKE_ANSWER, 302, "Location: /elsewhere\r\n", ""},
	    {FAKE_ANSWER, 200, NULL, ""},
	};
	static const int statuses[] = {500, 302, 200};
	struct fixture f;

	(void)state;
	start(&f, steps, 3, 2);
	for (size_t i = 0; i < 3; i++) {
		seen.called = 0;
		post_and_wait(&f, 2000);
		assert_int_equal(seen.err, ERR_OK);
		assert_int_equal(seen.status, statuses[i]);
	}
	assert_int_equal(f.server.connections, 1);
	assert_int_equal(f.server.requests, 3);
	stop(&f);
}

/* The same handle must forget the method and body of the request before. */
static void
test_methods(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200, NULL, ""}};
	static const char *const methods[] = {"PUT", "GET", "POST", "GET"};
	struct http_request request = {.timeout_ms = 2000};
	struct fixture f;
	char start_line[32];

	(void)state;
	start(&f, steps, 1, 1);
	request.url = f.server.url;
	for (size_t i = 0; i < 4; i++) {
		request.method = methods[i];
		http_send(f.http, &request, on_answer, f.loop);
		ev_run(f.loop, 0);
		snprintf(start_line, sizeof(start_line), "%s / HTTP/1.1\r\n",
		    methods[i]);
		assert_memory_equal(
		    f.server.request[i], start_line, strlen(start_line));
	}
	assert_int_equal(f.server.connections, 1);
	stop(&f);
}

static void
expect_error(const struct fake_step *step, enum err err)
{
	struct fixture f;

	start(&f, step, 1, 2);
	post_and_wait(&f, 300);
	assert_int_equal(seen.err, err);
	assert_int_equal(seen.status, 0);
	stop(&f);
}

static void
test_errors_after_sending(void **state)
{
	char large[ANSWER_MAX + 2];
	const struct fake_step too_large = {FAKE_ANSWER, 200, NULL, large};
	const struct fake_step closed = {FAKE_CLOSE, 0, NULL, NULL};
	const struct fake_step hangs = {FAKE_HANG, 0, NULL, NULL};
	const struct fake_step cut = {FAKE_RAW, 0, NULL,
	    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"};
	const struct fake_step garbage = {FAKE_RAW, 0, NULL, "what?\n\n"};

	(void)state;
	memset(large, 'x', ANSWER_MAX + 1);
	large[ANSWER_MAX + 1] = '\0';
	expect_error(&too_large, ERR_PROTOCOL);
	expect_error(&closed, ERR_TIMEOUT);
	expect_error(&hangs, ERR_TIMEOUT);
	expect_error(&cut, ERR_TIMEOUT);
	expect_error(&garbage, ERR_PROTOCOL);
}

static void
test_largest_answer(void **state)
{
	char large[ANSWER_MAX + 1];
	const struct fake_step step = {FAKE_ANSWER, 200, NULL, large};
	struct fixture f;

	(void)state;
	memset(large, 'x', ANSWER_MAX);
	large[ANSWER_MAX] = '\0';
	start(&f, &step, 1, 1);
	post_and_wait(&f, 2000);
	assert_int_equal(seen.err, ERR_OK);
	assert_string_equal(seen.body, large);
	stop(&f);
}

/* Nobody listens: it never left. */
static void
test_refused_connection(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200, NULL, ""}};
	struct fixture f;

	(void)state;
	start(&f, steps, 1, 2);
	fake_stop(&f.server);
	post_and_wait(&f, 2000);
	assert_int_equal(seen.err, ERR_UNAVAILABLE);
	http_free(f.http);
	ev_loop_destroy(f.loop);
}

/* The same handle, after a request that did leave: still "never left". */
static void
test_refused_after_success(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, "Connection: close\r\n", ""}};
	struct fixture f;

	(void)state;
	start(&f, steps, 1, 1);
	post_and_wait(&f, 2000);
	assert_int_equal(seen.err, ERR_OK);
	fake_stop(&f.server);
	seen.called = 0;
	post_and_wait(&f, 2000);
	assert_int_equal(seen.err, ERR_UNAVAILABLE);
	http_free(f.http);
	ev_loop_destroy(f.loop);
}

/* The server closed the idle connection meanwhile: nobody need notice. */
static void
test_idle_connection_closed(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200, NULL, ""}};
	struct fixture f;

	(void)state;
	start(&f, steps, 1, 1);
	post_and_wait(&f, 2000);
	fake_connection_close(f.server.open);
	seen.called = 0;
	post_and_wait(&f, 2000);
	assert_int_equal(seen.err, ERR_OK);
	assert_int_equal(f.server.connections, 2);
	assert_int_equal(f.server.requests, 2);
	stop(&f);
}

static void
test_bad_url(void **state)
{
	static const char *const urls[] = {"", "ftp://127.0.0.1/", "http://",
	    "http://127.0.0.1:99999/", "file:///etc/hostname"};
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200, NULL, ""}};
	struct http_request request = {.method = "GET", .timeout_ms = 2000};
	struct fixture f;

	(void)state;
	start(&f, steps, 1, 1);
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		request.url = urls[i];
		seen.called = 0;
		http_send(f.http, &request, on_answer, f.loop);
		ev_run(f.loop, 0);
		assert_int_equal(seen.err, ERR_UNAVAILABLE);
	}
	stop(&f);
}

/* One connection, taken by a request that hangs: the next waits in line no
 * longer than its own limit, and then is known not to have left. */
static void
test_waiting_is_bounded(void **state)
{
	static const struct fake_step steps[] = {{FAKE_HANG, 0, NULL, NULL}};
	struct fixture f;

	(void)state;
	start(&f, steps, 1, 1);
	post(&f, "first", 5000, NULL);
	post(&f, "second", 100, f.loop);
	assert_int_equal(http_in_flight(f.http), 2);
	ev_run(f.loop, 0);
	assert_int_equal(seen.err, ERR_UNAVAILABLE);
	assert_int_equal(http_in_flight(f.http), 1);
	assert_int_equal(f.server.requests, 1);
	stop(&f); /* with one under way: no callback */
	assert_int_equal(seen.called, 1);
}

/* First come, first served, over at most so many connections. */
static void
test_line_order(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200, NULL, ""}};
	static const char *const bodies[] = {"0", "1", "2", "3", "4", "5"};
	struct fixture f;
	char wanted[16];

	(void)state;
	start(&f, steps, 1, 1);
	for (size_t i = 0; i < 6; i++)
		post(&f, bodies[i], 2000, i == 5 ? f.loop : NULL);
	ev_run(f.loop, 0);
	assert_int_equal(seen.called, 6);
	assert_int_equal(f.server.connections, 1);
	for (size_t i = 0; i < 6; i++) {
		snprintf(wanted, sizeof(wanted), "\r\n\r\n%s", bodies[i]);
		assert_non_null(strstr(f.server.request[i], wanted));
	}
	stop(&f);
}

static unsigned chained;

static void
on_chain(const struct http_response *response, void *arg)
{
	struct fixture *f = arg;
	struct http_request request = {
	    .method = "GET", .url = f->server.url, .timeout_ms = 2000};
	unsigned before = ++chained;

	assert_int_equal(response->err, ERR_OK);
	if (chained == 5) {
		ev_break(f->loop, EVBREAK_ALL);
		return;
	}
	http_send(f->http, &request, on_chain, f);
	assert_int_equal(chained, before);
}

static void
test_send_from_callback(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200, NULL, ""}};
	struct http_request request = {.method = "GET", .timeout_ms = 2000};
	struct fixture f;

	(void)state;
	start(&f, steps, 1, 1);
	request.url = f.server.url;
	chained = 0;
	http_send(f.http, &request, on_chain, &f);
	ev_run(f.loop, 0);
	assert_int_equal(chained, 5);
	stop(&f);
}

static void
on_free(const struct http_response *response, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(response->err, ERR_OK);
	http_free(f->http);
	f->http = NULL;
	assert_string_equal(response->body, "still here");
	ev_break(f->loop, EVBREAK_ALL);
}

static void
test_free_from_callback(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, "still here"}};
	struct http_request request = {.method = "GET", .timeout_ms = 2000};
	struct fixture f;

	(void)state;
	start(&f, steps, 1, 1);
	request.url = f.server.url;
	http_send(f.http, &request, on_free, &f);
	post(&f, "never answered", 2000, NULL);
	ev_run(f.loop, 0);
	assert_null(f.http);
	assert_int_equal(seen.called, 0);
	stop(&f);
}

/* Larger than what libcurl would ask "100 Continue" for. */
static void
test_large_body(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 200, NULL, ""}};
	size_t len = 3 * 1024 * 1024;
	char *body = malloc(len + 1), value[64];
	struct fixture f;

	(void)state;
	assert_non_null(body);
	memset(body, 'x', len);
	body[len] = '\0';
	start(&f, steps, 1, 1);
	post(&f, body, 5000, f.loop);
	free(body); /* it was copied */
	ev_run(f.loop, 0);
	assert_int_equal(seen.status, 200);
	fake_header(
	    f.server.request[0], "Content-Length", value, sizeof(value));
	assert_string_equal(value, "3145728");
	fake_header(f.server.request[0], "Expect", value, sizeof(value));
	assert_string_equal(value, "");
	stop(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answer),
	    cmocka_unit_test(test_statuses_and_reuse),
	    cmocka_unit_test(test_methods),
	    cmocka_unit_test(test_errors_after_sending),
	    cmocka_unit_test(test_largest_answer),
	    cmocka_unit_test(test_refused_connection),
	    cmocka_unit_test(test_refused_after_success),
	    cmocka_unit_test(test_idle_connection_closed),
	    cmocka_unit_test(test_bad_url),
	    cmocka_unit_test(test_waiting_is_bounded),
	    cmocka_unit_test(test_line_order),
	    cmocka_unit_test(test_send_from_callback),
	    cmocka_unit_test(test_free_from_callback),
	    cmocka_unit_test(test_large_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
