/* The SQS client against a scripted server: outcomes, retries, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws_config.h"
#include "fake_server.h"
#include "sqs.h"

#define MD5_A "0cc175b9c0f1b6a831c399e269772661"
#define MD5_B "92eb5ffee6ae2fec3ad71c777531578f"
#define SENT_BOTH                                                      \
	"{\"Successful\":[{\"Id\":\"0\",\"MD5OfMessageBody\":\"" MD5_A \
	"\"},{\"Id\":\"1\",\"MD5OfMessageBody\":\"" MD5_B "\"}]}"
#define QUEUE_URL "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"

static struct {
	unsigned called;
	size_t n;
	struct sqs_result results[SQS_BATCH_MAX];
	char body[64];
	char url[128];
	int64_t visible;
} seen;

struct fixture {
	struct ev_loop *loop;
	struct sqs *sqs;
	struct fake_server server;
	struct config config;
};

static void
start(struct fixture *f, const struct fake_step *steps, size_t n)
{
	char why[256];

	memset(&seen, 0, sizeof(seen));
	f->loop = ev_loop_new(0);
	fake_start(&f->server, f->loop, steps, n);
	f->config = aws_config_blank();
	f->config.sqs_timeout_ms = 2000; /* valgrind is slow */
	f->config.aws_endpoint_url_sqs = f->server.url;
	f->config.aws_access_key_id = "AKIDEXAMPLE";
	f->config.aws_secret_access_key = "secret";
	f->config.aws_session_token = "token";
	assert_int_equal(sqs_new(&f->sqs, f->loop, &f->config, QUEUE_URL, 2,
			     why, sizeof(why)),
	    ERR_OK);
	assert_string_equal(sqs_region(f->sqs), "eu-west-1");
	assert_string_equal(sqs_endpoint_url(f->sqs), f->server.url);
}

static void
stop(struct fixture *f)
{
	sqs_free(f->sqs);
	fake_stop(&f->server);
	ev_loop_destroy(f->loop);
}

static void
on_batch(const struct sqs_result *results, size_t n, void *arg)
{
	seen.called++;
	seen.n = n;
	memcpy(seen.results, results, n * sizeof(*results));
	ev_break(arg, EVBREAK_ALL);
}

/* Send "a" and "b", and wait. */
static void
send_two(struct fixture *f)
{
	const struct sqs_text texts[] = {{"a", 1}, {"b", 1}};

	seen.called = 0;
	sqs_send_batch(f->sqs, texts, 2, on_batch, f->loop);
	assert_int_equal(seen.called, 0);
	ev_run(f->loop, 0);
	assert_int_equal(seen.called, 1);
	assert_int_equal(seen.n, 2);
}

static void
test_send(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, SENT_BOTH}};
	struct fixture f;
	const char *request;
	char value[512];

	(void)state;
	start(&f, steps, 1);
	send_two(&f);
	assert_int_equal(seen.results[0].err, ERR_OK);
	assert_int_equal(seen.results[1].err, ERR_OK);
	request = f.server.request[0];
	assert_memory_equal(request, "POST / HTTP/1.1\r\n", 17);
	assert_string_equal(fake_header(request, "X-Amz-Target", value, 512),
	    "AmazonSQS.SendMessageBatch");
	assert_string_equal(fake_header(request, "Content-Type", value, 512),
	    "application/x-amz-json-1.0");
	assert_string_equal(
	    fake_header(request, "X-Amz-Security-Token", value, 512), "token");
	fake_header(request, "Authorization", value, 512);
	assert_memory_equal(
	    value, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/", 40);
	assert_non_null(strstr(value, "/eu-west-1/sqs/aws4_request, "));
	assert_non_null(strstr(request, "{\"QueueUrl\":\"" QUEUE_URL "\""));
	stop(&f);
}

static void
test_partial_failure(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL,
		"{\"Successful\":[{\"Id\":\"1\",\"MD5OfMessageBody\":\"" MD5_B
		"\"}],\"Failed\":[{\"Id\":\"0\",\"SenderFault\":true,"
		"\"Code\":\"InvalidMessageContents\"}]}"},
	    {FAKE_ANSWER, 200, NULL,
		"{\"Successful\":[{\"Id\":\"1\",\"MD5OfMessageBody\":\"" MD5_A
		"\"}]}"},
	};
	struct fixture f;

	(void)state;
	start(&f, steps, 2);
	send_two(&f);
	assert_int_equal(seen.results[0].err, ERR_REFUSED);
	assert_true(seen.results[0].sender_fault);
	assert_int_equal(seen.results[1].err, ERR_OK);
	send_two(&f); /* one missing, one with the other's digest */
	assert_int_equal(seen.results[0].err, ERR_PROTOCOL);
	assert_int_equal(seen.results[1].err, ERR_PROTOCOL);
	stop(&f);
}

/* What concerns the call concerns each entry, and blames none. */
static void
test_call_errors(void **state)
{
	static const struct {
		struct fake_step step;
		enum err err;
	} cases[] = {
	    {{FAKE_ANSWER, 400, NULL,
		 "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\"}"},
		ERR_NOT_FOUND},
	    {{FAKE_ANSWER, 403, NULL, "{\"__type\":\"RequestThrottled\"}"},
		ERR_THROTTLED},
	    {{FAKE_ANSWER, 403, NULL, "{\"__type\":\"AccessDenied\"}"},
		ERR_DENIED},
	    {{FAKE_ANSWER, 500, NULL, "<html>"}, ERR_REFUSED},
	    {{FAKE_ANSWER, 503, NULL, ""}, ERR_REFUSED},
	    {{FAKE_ANSWER, 400, NULL, "{\"__type\":\"BatchRequestTooLong\"}"},
		ERR_REFUSED},
	    {{FAKE_ANSWER, 301, "Location: /x\r\n", ""}, ERR_REFUSED},
	    {{FAKE_ANSWER, 200, NULL, ""}, ERR_PROTOCOL},
	    {{FAKE_ANSWER, 200, NULL, "<html>"}, ERR_PROTOCOL},
	    {{FAKE_CLOSE, 0, NULL, NULL}, ERR_TIMEOUT},
	    {{FAKE_HANG, 0, NULL, NULL}, ERR_TIMEOUT},
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(&f, &cases[i].step, 1);
		send_two(&f);
		for (size_t entry = 0; entry < 2; entry++) {
			assert_int_equal(seen.results[entry].err, cases[i].err);
			assert_false(seen.results[entry].sender_fault);
		}
		assert_int_equal(f.server.requests, 1);
		stop(&f);
	}
}

/* Who calls logs the message: it must name the request. */
static void
test_request_id(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 403, "x-amzn-RequestId: abc-1\r\n",
		"{\"__type\":\"AccessDenied\",\"Message\":\"no\"}"}};
	struct fixture f;

	(void)state;
	start(&f, steps, 1);
	send_two(&f);
	assert_string_equal(
	    seen.results[0].message, "HTTP 403: no (request abc-1)");
	stop(&f);
}

/* A call of one entry that is too long: the entry is to blame. */
static void
test_single_entry_blamed(void **state)
{
	static const struct fake_step steps[] = {{FAKE_ANSWER, 400, NULL,
	    "{\"__type\":\"com.amazonaws.sqs#BatchRequestTooLong\"}"}};
	const struct sqs_text text = {"a", 1};
	struct fixture f;

	(void)state;
	start(&f, steps, 1);
	sqs_send_batch(f.sqs, &text, 1, on_batch, f.loop);
	ev_run(f.loop, 0);
	assert_int_equal(seen.results[0].err, ERR_REFUSED);
	assert_true(seen.results[0].sender_fault);
	stop(&f);
}

static void
test_server_gone(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, SENT_BOTH}};
	struct fixture f;

	(void)state;
	start(&f, steps, 1);
	fake_stop(&f.server);
	send_two(&f);
	assert_int_equal(seen.results[0].err, ERR_UNAVAILABLE);
	sqs_free(f.sqs);
	ev_loop_destroy(f.loop);
}

static void
test_expired_once(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 403, NULL, "{\"__type\":\"ExpiredToken\"}"},
	    {FAKE_ANSWER, 200, NULL, SENT_BOTH},
	    {FAKE_ANSWER, 403, NULL, "{\"__type\":\"ExpiredToken\"}"},
	};
	struct fixture f;

	(void)state;
	start(&f, steps, 3);
	send_two(&f);
	assert_int_equal(seen.results[0].err, ERR_OK);
	assert_int_equal(f.server.requests, 2);
	send_two(&f); /* and again expired: only one more try */
	assert_int_equal(seen.results[0].err, ERR_DENIED);
	assert_string_equal(seen.results[0].code, "ExpiredToken");
	assert_int_equal(f.server.requests, 4);
	stop(&f);
}

/* The service lives in 2030: its Date is believed, for good. */
static void
test_skewed_clock(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 403, "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n",
		"{\"__type\":\"InvalidSignatureException\"}"},
	    {FAKE_ANSWER, 200, "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n",
		SENT_BOTH},
	};
	struct fixture f;
	char date[64];

	(void)state;
	start(&f, steps, 2);
	send_two(&f);
	assert_int_equal(seen.results[0].err, ERR_OK);
	assert_int_equal(f.server.requests, 2);
	fake_header(f.server.request[1], "X-Amz-Date", date, sizeof(date));
	assert_memory_equal(date, "20300101T12000", 14);
	send_two(&f);
	assert_int_equal(f.server.requests, 3);
	fake_header(f.server.request[2], "X-Amz-Date", date, sizeof(date));
	assert_memory_equal(date, "20300101T12000", 14);
	stop(&f);
}

static void
on_batch_of_two(const struct sqs_result *results, size_t n, void *arg)
{
	(void)n;
	seen.results[seen.called++] = results[0];
	if (seen.called == 2)
		ev_break(arg, EVBREAK_ALL);
}

/* Calls that were under way together are refused together: the clock is wrong
 * by so much once, not once for each of them. */
static void
test_skewed_clock_of_two_calls(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 403, "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n",
		"{\"__type\":\"InvalidSignatureException\"}"},
	    {FAKE_ANSWER, 403, "Date: Tue, 01 Jan 2030 12:00:00 GMT\r\n",
		"{\"__type\":\"InvalidSignatureException\"}"},
	    {FAKE_ANSWER, 200, NULL, SENT_BOTH},
	};
	const struct sqs_text texts[] = {{"a", 1}, {"b", 1}};
	struct fixture f;
	char date[64];

	(void)state;
	start(&f, steps, 3);
	sqs_send_batch(f.sqs, texts, 2, on_batch_of_two, f.loop);
	sqs_send_batch(f.sqs, texts, 2, on_batch_of_two, f.loop);
	ev_run(f.loop, 0);
	assert_int_equal(seen.results[0].err, ERR_OK);
	assert_int_equal(seen.results[1].err, ERR_OK);
	assert_int_equal(f.server.requests, 4);
	for (int i = 2; i < 4; i++) {
		fake_header(
		    f.server.request[i], "X-Amz-Date", date, sizeof(date));
		assert_memory_equal(date, "20300101T12000", 14);
	}
	stop(&f);
}

static void
on_receive(const struct sqs_result *result, const struct sqs_message *messages,
    size_t n, void *arg)
{
	seen.called++;
	seen.results[0] = *result;
	seen.n = n;
	if (n > 0)
		snprintf(seen.body, sizeof(seen.body), "%s", messages[0].body);
	ev_break(arg, EVBREAK_ALL);
}

static void
test_receive(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL,
		"{\"Messages\":[{\"MessageId\":\"m\",\"ReceiptHandle\":\"r\","
		"\"Body\":\"a\",\"MD5OfBody\":\"" MD5_A
		"\"},{\"ReceiptHandle\":\"r\",\"Body\":\"a\","
		"\"MD5OfBody\":\"" MD5_B "\"}]}"},
	    {FAKE_ANSWER, 200, NULL, "{}"},
	    {FAKE_ANSWER, 200, NULL, "{\"Messages\":"},
	    {FAKE_ANSWER, 500, NULL, ""},
	};
	static const enum err errors[] = {
	    ERR_OK, ERR_OK, ERR_PROTOCOL, ERR_REFUSED};
	static const size_t counts[] = {1, 0, 0, 0};
	struct fixture f;

	(void)state;
	start(&f, steps, 4);
	for (size_t i = 0; i < 4; i++) {
		sqs_receive(f.sqs, 10, 1, 30, on_receive, f.loop);
		ev_run(f.loop, 0);
		assert_int_equal(seen.called, i + 1);
		assert_int_equal(seen.results[0].err, errors[i]);
		assert_int_equal(seen.n, counts[i]);
	}
	assert_string_equal(seen.body, "a");
	stop(&f);
}

static void
on_url(const struct sqs_result *result, const char *url, void *arg)
{
	seen.results[0] = *result;
	snprintf(seen.url, sizeof(seen.url), "%s", url);
	ev_break(arg, EVBREAK_ALL);
}

static void
on_attributes(const struct sqs_result *result,
    const struct sqs_attributes *attributes, void *arg)
{
	seen.results[0] = *result;
	seen.visible = attributes->visible;
	ev_break(arg, EVBREAK_ALL);
}

static void
test_queues(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, "{\"QueueUrl\":\"http://q/1\"}"},
	    {FAKE_ANSWER, 400, NULL, "{\"__type\":\"x#QueueDoesNotExist\"}"},
	    {FAKE_ANSWER, 200, NULL,
		"{\"Attributes\":{\"ApproximateNumberOfMessages\":\"7\"}}"},
	    {FAKE_ANSWER, 500, NULL, ""},
	};
	struct fixture f;

	(void)state;
	start(&f, steps, 4);
	sqs_create_queue(f.sqs, "q", NULL, on_url, f.loop);
	ev_run(f.loop, 0);
	assert_string_equal(seen.url, "http://q/1");
	sqs_get_queue_url(f.sqs, "other", on_url, f.loop);
	ev_run(f.loop, 0);
	assert_int_equal(seen.results[0].err, ERR_NOT_FOUND);
	assert_string_equal(seen.url, "");
	sqs_get_queue_attributes(f.sqs, on_attributes, f.loop);
	ev_run(f.loop, 0);
	assert_int_equal(seen.visible, 7);
	sqs_get_queue_attributes(f.sqs, on_attributes, f.loop);
	ev_run(f.loop, 0);
	assert_int_equal(seen.results[0].err, ERR_REFUSED);
	assert_int_equal(seen.visible, -1);
	stop(&f);
}

/* What is not told may be anything. */
static void
test_which_queue_is_empty(void **state)
{
	struct sqs_attributes a = {0};

	(void)state;
	assert_true(sqs_attributes_are_empty(&a));
	a.delayed = -1;
	assert_true(sqs_attributes_are_empty(&a));
	a.delayed = 1;
	assert_false(sqs_attributes_are_empty(&a));
	a = (struct sqs_attributes){.visible = -1};
	assert_false(sqs_attributes_are_empty(&a));
	a = (struct sqs_attributes){.in_flight = -1};
	assert_false(sqs_attributes_are_empty(&a));
}

static void
on_batch_free(const struct sqs_result *results, size_t n, void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(n, 1);
	sqs_free(f->sqs);
	f->sqs = NULL;
	seen.results[0] = results[0]; /* still there */
	ev_break(f->loop, EVBREAK_ALL);
}

static void
test_free_from_callback(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, "{\"Successful\":[{\"Id\":\"0\"}]}"},
	    {FAKE_HANG, 0, NULL, NULL}};
	static const char *const handle = "r";
	struct fixture f;

	(void)state;
	start(&f, steps, 2);
	sqs_delete_batch(f.sqs, &handle, 1, on_batch_free, &f);
	sqs_change_visibility_batch(f.sqs, &handle, 1, 0, on_batch, f.loop);
	ev_run(f.loop, 0);
	assert_null(f.sqs);
	assert_int_equal(seen.results[0].err, ERR_OK);
	assert_int_equal(seen.called, 0);
	stop(&f);
}

/* Keys that take longer to come than the call may take. */
static void
test_credentials_too_slow(void **state)
{
	static const struct fake_step steps[] = {{FAKE_HANG, 0, NULL, NULL}};
	struct fixture f;
	char why[256];

	(void)state;
	start(&f, steps, 1);
	sqs_free(f.sqs);
	f.config.aws_access_key_id = f.config.aws_secret_access_key = "";
	f.config.aws_container_credentials_full_uri = f.server.url;
	f.config.sqs_timeout_ms = 100;
	assert_int_equal(
	    sqs_new(&f.sqs, f.loop, &f.config, QUEUE_URL, 2, why, sizeof(why)),
	    ERR_OK);
	send_two(&f);
	assert_int_equal(seen.results[1].err, ERR_UNAVAILABLE);
	stop(&f);
}

static void
test_bad_settings(void **state)
{
	struct config config = aws_config_blank();
	struct ev_loop *loop = ev_loop_new(0);
	struct sqs *sqs = NULL;
	char why[256] = "";

	(void)state;
	config.aws_endpoint_url_sqs = "http://127.0.0.1:9324";
	assert_int_equal(sqs_new(&sqs, loop, &config, "", 1, why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_non_null(strstr(why, "AWS_REGION"));
	config.aws_region = "us-east-1";
	assert_int_equal(sqs_new(&sqs, loop, &config, "", 1, why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_non_null(strstr(why, "AWS_ACCESS_KEY_ID"));
	assert_null(sqs);
	ev_loop_destroy(loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_send),
	    cmocka_unit_test(test_partial_failure),
	    cmocka_unit_test(test_call_errors),
	    cmocka_unit_test(test_request_id),
	    cmocka_unit_test(test_single_entry_blamed),
	    cmocka_unit_test(test_server_gone),
	    cmocka_unit_test(test_expired_once),
	    cmocka_unit_test(test_skewed_clock),
	    cmocka_unit_test(test_skewed_clock_of_two_calls),
	    cmocka_unit_test(test_receive),
	    cmocka_unit_test(test_queues),
	    cmocka_unit_test(test_which_queue_is_empty),
	    cmocka_unit_test(test_free_from_callback),
	    cmocka_unit_test(test_credentials_too_slow),
	    cmocka_unit_test(test_bad_settings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
