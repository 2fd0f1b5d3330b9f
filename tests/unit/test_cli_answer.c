/* Reading HTTP answers: whole, in pieces of every size, and spoiled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../cli/answer.h"

/* Feed text in pieces of this size; the last step. */
static enum answer_step
feed(struct answer *a, const char *text, size_t piece)
{
	enum answer_step step = ANSWER_MORE;
	size_t len = strlen(text), at = 0, used;

	answer_start(a);
	while (step == ANSWER_MORE && at < len) {
		size_t n = len - at < piece ? len - at : piece;
		/* A copy of its own, so that reading too far shows. */
		char *bytes = malloc(n);

		memcpy(bytes, text + at, n);
		step = answer_feed(a, bytes, n, &used);
		free(bytes);
		at += used;
	}
	if (step == ANSWER_DONE)
		assert_int_equal(at, len);
	return step;
}

static void
assert_answer(const char *text, int status, bool keep_alive, const char *body)
{
	struct answer a;

	for (size_t piece = 1; piece <= strlen(text); piece++) {
		assert_int_equal(feed(&a, text, piece), ANSWER_DONE);
		assert_int_equal(a.status, status);
		assert_int_equal(a.keep_alive, keep_alive);
		assert_int_equal(a.body_len, strlen(body));
		assert_memory_equal(a.body, body, strlen(body));
	}
}

static void
test_plain(void **state)
{
	(void)state;
	assert_answer("HTTP/1.1 202 Accepted\r\nServer: x\r\n"
		      "content-length:  2 \r\n\r\n{}",
	    202, true, "{}");
	assert_answer(
	    "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, true, "");
	assert_answer("HTTP/1.1 204 No Content\r\n\r\n", 204, true, "");
	assert_answer(
	    "HTTP/1.1 409 Conflict\nContent-Length: 1\n\nx", 409, true, "x");
}

static void
test_connection(void **state)
{
	(void)state;
	assert_answer("HTTP/1.1 409 C\r\nConnection: close\r\n"
		      "Content-Length: 1\r\n\r\nx",
	    409, false, "x");
	assert_answer(
	    "HTTP/1.0 409 C\r\nContent-Length: 1\r\n\r\nx", 409, false, "x");
	assert_answer("HTTP/1.0 409 C\r\nConnection: Keep-Alive\r\n"
		      "Content-Length: 1\r\n\r\nx",
	    409, true, "x");
}

static void
test_chunked(void **state)
{
	(void)state;
	assert_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "3\r\nabc\r\nA;name=value\r\n0123456789\r\n"
		      "0\r\nTrailer: x\r\n\r\n",
	    200, true, "abc0123456789");
	assert_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		      "0\r\n\r\n",
	    200, true, "");
}

static void
test_continue(void **state)
{
	(void)state;
	assert_answer("HTTP/1.1 100 Continue\r\n\r\n"
		      "HTTP/1.1 202 A\r\nContent-Length: 2\r\n\r\n{}",
	    202, true, "{}");
}

static void
test_to_the_end(void **state)
{
	struct answer a;

	(void)state;
	assert_int_equal(
	    feed(&a, "HTTP/1.1 502 B\r\n\r\n<html>", 4), ANSWER_MORE);
	assert_true(answer_complete_at_close(&a));
	assert_false(a.keep_alive);
	assert_int_equal(a.status, 502);
	assert_int_equal(a.body_len, 6);
}

static void
test_cut(void **state)
{
	static const char *const texts[] = {"", "HTTP/1.1 2",
	    "HTTP/1.1 200 OK\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(feed(&a, texts[i], 100), ANSWER_MORE);
		assert_false(answer_complete_at_close(&a));
	}
}

/* The next answer's bytes are left to the next answer. */
static void
test_leftover(void **state)
{
	const char *text = "HTTP/1.1 409 C\r\nContent-Length: 1\r\n\r\nxHTTP";
	struct answer a;
	size_t used;

	(void)state;
	answer_start(&a);
	assert_int_equal(
	    answer_feed(&a, text, strlen(text), &used), ANSWER_DONE);
	assert_int_equal(used, strlen(text) - 4);
}

static void
test_bad(void **state)
{
	static const char *const texts[] = {"SSH-2.0-OpenSSH\r\n",
	    "HTTP/2 200\r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 2000\r\n",
	    "HTTP/1.1  200\r\n", "HTTP/1.1 099 x\r\n", "\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 4294967297\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "ffffffffff\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab"
	    "\r\n"};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		for (size_t piece = 1; piece < 40; piece += 7)
			if (feed(&a, texts[i], piece) != ANSWER_BAD)
				fail_msg("taken for HTTP: \"%s\"", texts[i]);
}

static void
test_limits(void **state)
{
	char text[ANSWER_HEADER_MAX * 2];
	struct answer a;
	size_t used, n;

	(void)state;
	/* A line without end. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "HTTP/1.1 200 ", 13);
	answer_start(&a);
	assert_int_equal(
	    answer_feed(&a, text, sizeof(text), &used), ANSWER_BAD);
	/* A header without end. */
	n = (size_t)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n");
	while (n + 10 < sizeof(text)) {
		memcpy(text + n, "X: 5678\r\n", 9);
		n += 9;
	}
	answer_start(&a);
	assert_int_equal(answer_feed(&a, text, n, &used), ANSWER_BAD);
}

/* A body longer than what is kept is read to its end all the same. */
static void
test_long_body(void **state)
{
	char text[ANSWER_BODY_KEPT * 4];
	struct answer a;
	size_t used;
	int n;

	(void)state;
	memset(text, 'x', sizeof(text));
	n = snprintf(text, sizeof(text),
	    "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
	    ANSWER_BODY_KEPT * 2);
	text[n] = 'x';
	answer_start(&a);
	assert_int_equal(
	    answer_feed(&a, text, (size_t)n + ANSWER_BODY_KEPT * 2, &used),
	    ANSWER_DONE);
	assert_int_equal(a.body_len, ANSWER_BODY_KEPT);
	assert_int_equal(used, (size_t)n + ANSWER_BODY_KEPT * 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_connection),
	    cmocka_unit_test(test_chunked),
	    cmocka_unit_test(test_continue),
	    cmocka_unit_test(test_to_the_end),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_leftover),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_long_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
