/*
 * The FastCGI records, with libfcgi as the oracle: what it makes of a request
 * is what we must make of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcgiapp.h>

#include "../../fcgi/record.h"
#include "../records.h"

/* A request as a web server writes it, in records of random sizes. */
static void
make_request(struct bytes *b, const char *path, size_t body_len)
{
	static struct bytes params, body;
	size_t at, n;

	b->len = params.len = body.len = 0;
	add_param(&params, "REQUEST_METHOD", "POST", 4, rand() % 2);
	add_param(&params, "SCRIPT_NAME", path, strlen(path), rand() % 2);
	add_param(&params, "SOMETHING_ELSE", path, strlen(path), rand() % 2);
	add_param(&params, "CONTENT_TYPE", "application/json", 16, false);
	add_param(&params, "HTTP_IDEMPOTENCY_KEY", "key-1", 5, true);
	add_param(&params, "HTTP_AUTHORIZATION", "", 0, false);
	for (body.len = 0; body.len < body_len; body.len++)
		body.data[body.len] = (uint8_t)('a' + rand() % 26);
	add_begin(b, 1, rand() % 2);
	for (at = 0; at < params.len; at += n) {
		n = 1 + (size_t)rand() % 100;
		n = n < params.len - at ? n : params.len - at;
		add_record(b, PARAMS, params.data + at, n, (size_t)rand() % 9);
	}
	add_record(b, PARAMS, "", 0, 0);
	for (at = 0; at < body.len; at += n) {
		n = 1 + (size_t)rand() % 3000;
		n = n < body.len - at ? n : body.len - at;
		add_record(b, STDIN, body.data + at, n, (size_t)rand() % 9);
	}
	add_record(b, STDIN, "", 0, 0);
}

static const char *
oracle_param(FCGX_Request *request, const char *name)
{
	const char *value = FCGX_GetParam(name, request->envp);

	return value != NULL ? value : "";
}

static void
assert_as_libfcgi(const struct bytes *b)
{
	static struct record_request ours;
	static char body[BODY_MAX + 1];
	FCGX_Request theirs;
	int pair[2], n;

	assert_int_equal(
	    record_read_request(b->data, b->len, &ours), RECORD_WHOLE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[0], b->data, b->len), (ssize_t)b->len);
	FCGX_InitRequest(&theirs, -1, 0);
	theirs.ipcFd = pair[1];
	theirs.keepConnection = 1;
	assert_int_equal(FCGX_Accept_r(&theirs), 0);
	assert_int_equal(ours.id, theirs.requestId);
	assert_int_equal(ours.keep, theirs.keepConnection);
	assert_string_equal(ours.path, oracle_param(&theirs, "SCRIPT_NAME"));
	assert_string_equal(
	    ours.method, oracle_param(&theirs, "REQUEST_METHOD"));
	assert_string_equal(
	    ours.content_type, oracle_param(&theirs, "CONTENT_TYPE"));
	assert_string_equal(ours.idempotency_key,
	    oracle_param(&theirs, "HTTP_IDEMPOTENCY_KEY"));
	n = FCGX_GetStr(body, BODY_MAX, theirs.in);
	assert_int_equal(ours.body_len, n);
	assert_memory_equal(ours.body, body, (size_t)n);
	FCGX_Free(&theirs, 0);
	close(pair[0]);
	close(pair[1]);
}

static void
test_reads_what_libfcgi_reads(void **state)
{
	static struct bytes b;

	(void)state;
	srand(1);
	FCGX_Init();
	for (int i = 0; i < 300; i++) {
		make_request(&b, "/buy/iphone_16", (size_t)rand() % 6000);
		assert_as_libfcgi(&b);
	}
}

/* Every beginning of a request is PARTIAL, and only the whole is WHOLE. */
static void
test_every_beginning_is_partial(void **state)
{
	static struct record_request r;
	static struct bytes b;
	uint8_t *copy;

	(void)state;
	srand(2);
	make_request(&b, "/buy", 500);
	for (size_t len = 0; len < b.len; len++) {
		copy = malloc(len + 1); /* exact, so that ASan sees overreads */
		memcpy(copy, b.data, len);
		assert_int_equal(
		    record_read_request(copy, len, &r), RECORD_PARTIAL);
		free(copy);
	}
	assert_int_equal(record_read_request(b.data, b.len, &r), RECORD_WHOLE);
}

static enum record_result
read_with_params(const void *params, size_t len)
{
	static struct record_request r;
	static struct bytes b;

	b.len = 0;
	add_begin(&b, 1, 1);
	add_record(&b, PARAMS, params, len, 0);
	add_record(&b, PARAMS, "", 0, 0);
	add_record(&b, STDIN, "", 0, 0);
	return record_read_request(b.data, b.len, &r);
}

/* CVE-2025-23016 and its like: lengths that add up to more than there is. */
static void
test_lying_lengths(void **state)
{
	static const uint8_t lies[][8] = {
	    {0xbf, 0xff, 0xff, 0xff, 0xbf, 0xff, 0xff, 0xff},
	    {0xff, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00},
	    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	    {0x80, 0x00, 0x00, 0x00, 0x80, 0x00, 0x00, 0x01},
	};

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(
		    read_with_params(lies[i], sizeof(lies[i])), RECORD_BAD);
	assert_int_equal(read_with_params("\x01\x02"
					  "ab",
			     4),
	    RECORD_BAD);
	assert_int_equal(read_with_params("\x80\x00", 2), RECORD_BAD);
	assert_int_equal(read_with_params("\x01", 1), RECORD_BAD);
	assert_int_equal(read_with_params("\x01\x01"
					  "ab",
			     4),
	    RECORD_WHOLE);
}

static void
test_values_that_are_too_long(void **state)
{
	static struct bytes params, b;
	static struct record_request r;
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text));
	params.len = b.len = 0;
	text[0] = '/';
	add_param(&params, "SCRIPT_NAME", text, 512, false);
	add_param(&params, "HTTP_IDEMPOTENCY_KEY", text, 2000, false);
	add_param(&params, "REQUEST_METHOD", "A\0B", 3, false);
	add_begin(&b, 1, 0);
	add_record(&b, PARAMS, params.data, params.len, 0);
	add_record(&b, PARAMS, "", 0, 0);
	add_record(&b, STDIN, "", 0, 0);
	assert_int_equal(record_read_request(b.data, b.len, &r), RECORD_WHOLE);
	assert_string_equal(r.path, "");
	assert_int_equal(strlen(r.idempotency_key), 255);
	assert_string_equal(r.method, "A\x7f"
				      "B");
}

static void
test_what_no_web_server_sends(void **state)
{
	static struct record_request r;
	static struct bytes b;

	(void)state;
#define BAD assert_int_equal(record_read_request(b.data, b.len, &r), RECORD_BAD)
	b.len = 0;
	add(&b, "GET / HTTP/1.1\r\n", 16);
	BAD;
	b.len = 0;
	add_begin(&b, 2, 0); /* an authorizer's role */
	BAD;
	b.len = 0;
	add_record(&b, PARAMS, "", 0, 0); /* before the beginning */
	BAD;
	b.len = 0;
	add_begin(&b, 1, 0);
	add_begin(&b, 1, 0);
	BAD;
	b.len = 0;
	add_begin(&b, 1, 0);
	add_record(&b, STDIN, "x", 1, 0); /* before the parameters' end */
	BAD;
	b.len = 0;
	add_begin(&b, 1, 0);
	add_record(&b, ABORT, "", 0, 0);
	BAD;
	b.len = 0;
	make_request(&b, "/buy", 10);
	add(&b, "x", 1); /* a second request before the reply to the first */
	BAD;
	b.len = 0;
	make_request(&b, "/buy", 10);
	b.data[16 + 2] ^= 1; /* another request's id */
	BAD;
}

static void
test_limits(void **state)
{
	static struct record_request r;
	static struct bytes b;
	static uint8_t zeros[REQUEST_PARAMS_MAX + 1];

	(void)state;
	/* Zeros are parameters without name and value. */
	assert_int_equal(
	    read_with_params(zeros, REQUEST_PARAMS_MAX), RECORD_WHOLE);
	assert_int_equal(
	    read_with_params(zeros, REQUEST_PARAMS_MAX + 1), RECORD_BAD);
	b.len = 0;
	add_begin(&b, 1, 0);
	add_record(&b, PARAMS, "", 0, 0);
	while (b.len + 8008 < REQUEST_MAX)
		add_record(&b, STDIN, zeros, 8000, 0);
	assert_int_equal(
	    record_read_request(b.data, b.len, &r), RECORD_PARTIAL);
	assert_true(r.body_too_large);
	add_record(&b, STDIN, zeros, 8000, 0);
	assert_int_equal(
	    record_read_request(b.data, REQUEST_MAX, &r), RECORD_BAD);
}

/* The reply's records, put together again. */
static void
assert_reply(size_t body_len)
{
	static char body[200000], back[200000 + 4];
	static uint8_t out[RECORD_REPLY_SIZE(sizeof(body) + 4)];
	size_t len, at = 0, n = 0;

	memset(body, 'b', body_len);
	len = record_reply(out, 0x1234, "head", 4, body, body_len);
	assert_in_range(len, 0, RECORD_REPLY_SIZE(body_len + 4));
	while (out[at + 1] == 6) {
		size_t content = (size_t)out[at + 4] << 8 | out[at + 5];

		assert_int_equal(out[at + 2] << 8 | out[at + 3], 0x1234);
		memcpy(back + n, out + at + 8, content);
		n += content;
		at += 8 + content;
	}
	assert_int_equal(n, 4 + body_len);
	assert_memory_equal(back, "head", 4);
	assert_memory_equal(back + 4, body, body_len);
	assert_int_equal(out[at + 1], 3);
	assert_int_equal(at + 16, len);
}

static void
test_replies_of_every_size(void **state)
{
	static const size_t sizes[] = {0, 1, 100, RECORD_MAX - 5,
	    RECORD_MAX - 4, RECORD_MAX - 3, 2 * RECORD_MAX, 200000};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_reply(sizes[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_what_libfcgi_reads),
	    cmocka_unit_test(test_every_beginning_is_partial),
	    cmocka_unit_test(test_lying_lengths),
	    cmocka_unit_test(test_values_that_are_too_long),
	    cmocka_unit_test(test_what_no_web_server_sends),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_replies_of_every_size),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
