/* Bodies and endpoint rules of SQS: pure functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aws_config.h"
#include "sqs_endpoint.h"
#include "sqs_protocol.h"

#define URL "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"
#define QUEUE "{\"QueueUrl\":\"" URL "\""

static void
expect_body(struct sqs_body *body, const char *text)
{
	assert_false(body->failed);
	assert_int_equal(body->len, strlen(text));
	assert_memory_equal(body->data, text, body->len);
	free(body->data);
	memset(body, 0, sizeof(*body));
}

static void
test_requests(void **state)
{
	static const char *const handles[] = {"h0", "h\"1"};
	static const char *const attributes[] = {
	    "VisibilityTimeout", "30", "RedrivePolicy", "{\"a\":1}", NULL};
	const struct sqs_text texts[] = {
	    {"{\"v\":1}", 7}, {"\x01\n\xc3\xa9", 4}};
	struct sqs_body body = {0};

	(void)state;
	sqs_write_send_batch(&body, URL, texts, 2);
	expect_body(&body, QUEUE
	    ",\"Entries\":["
	    "{\"Id\":\"0\",\"MessageBody\":\"{\\\"v\\\":1}\"},"
	    "{\"Id\":\"1\",\"MessageBody\":\"\\u0001\\u000a\xc3\xa9\"}]}");
	sqs_write_delete_batch(&body, URL, handles, 2);
	expect_body(&body,
	    QUEUE ",\"Entries\":[{\"Id\":\"0\",\"ReceiptHandle\":\"h0\"},"
		  "{\"Id\":\"1\",\"ReceiptHandle\":\"h\\\"1\"}]}");
	sqs_write_visibility_batch(&body, URL, handles, 1, 43200);
	expect_body(&body,
	    QUEUE ",\"Entries\":[{\"Id\":\"0\",\"ReceiptHandle\":\"h0\","
		  "\"VisibilityTimeout\":43200}]}");
	sqs_write_receive(&body, URL, 10, 20, 0);
	expect_body(&body,
	    QUEUE ",\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":20,"
		  "\"VisibilityTimeout\":0,\"MessageSystemAttributeNames\":"
		  "[\"ApproximateReceiveCount\",\"SentTimestamp\"]}");
	sqs_write_get_attributes(&body, URL);
	expect_body(&body, QUEUE ",\"AttributeNames\":[\"All\"]}");
	sqs_write_get_url(&body, "orders");
	expect_body(&body, "{\"QueueName\":\"orders\"}");
	sqs_write_create(&body, "orders", NULL);
	expect_body(&body, "{\"QueueName\":\"orders\"}");
	/* Each value is a string, even the one that is JSON itself. */
	sqs_write_create(&body, "orders", attributes);
	expect_body(&body, "{\"QueueName\":\"orders\",\"Attributes\":"
			   "{\"VisibilityTimeout\":\"30\","
			   "\"RedrivePolicy\":\"{\\\"a\\\":1}\"}}");
}

static const struct error_case {
	int status;
	const char *body, *query_error;
	enum err err;
	const char *code;
} error_cases[] = {
    {400,
	"{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\","
	"\"message\":\"gone\"}",
	"AWS.SimpleQueueService.NonExistentQueue;Sender", ERR_NOT_FOUND,
	"QueueDoesNotExist"},
    {400, "{\"__type\":\"a#OverLimit:http://x#y\"}", "", ERR_THROTTLED,
	"OverLimit"},
    {400, "", "AWS.SimpleQueueService.NonExistentQueue;Sender", ERR_NOT_FOUND,
	"AWS.SimpleQueueService.NonExistentQueue"},
    {403, "{\"__type\":\"RequestThrottled\"}", "", ERR_THROTTLED,
	"RequestThrottled"},
    {400, "{\"__type\":\"com.amazon.coral.service#ThrottlingException\"}", "",
	ERR_THROTTLED, "ThrottlingException"},
    {503, "{\"__type\":\"SlowDown\"}", "", ERR_THROTTLED, "SlowDown"},
    {429, "busy", "", ERR_THROTTLED, ""},
    {403, "{\"__type\":\"SignatureDoesNotMatch\"}", "", ERR_DENIED,
	"SignatureDoesNotMatch"},
    {400, "{\"__type\":\"ExpiredTokenException\"}", "", ERR_DENIED,
	"ExpiredTokenException"},
    {403, "<html>no</html>", "", ERR_DENIED, ""},
    {500, "<html><body>oops</body></html>", "", ERR_REFUSED, ""},
    {503, "", "", ERR_REFUSED, ""},
    {500, "{\"__type\":\"InternalFailure\"}", "", ERR_REFUSED,
	"InternalFailure"},
    {400, "[1,2]", "", ERR_REFUSED, ""},
    {400, "{\"__type\":17,\"message\":{}}", "", ERR_REFUSED, ""},
};

static void
test_errors(void **state)
{
	struct sqs_result result;
	const struct error_case *c;

	(void)state;
	for (size_t i = 0; i < sizeof(error_cases) / sizeof(*c); i++) {
		c = &error_cases[i];
		sqs_read_error(c->status, c->body, strlen(c->body),
		    c->query_error, &result);
		assert_int_equal(result.err, c->err);
		assert_string_equal(result.code, c->code);
		assert_false(result.sender_fault);
		assert_true(result.message[0] != '\0');
	}
	sqs_read_error(
	    400, "{\"__type\":\"X\",\"Message\":\"text\"}", 31, "", &result);
	assert_string_equal(result.message, "HTTP 400: text");
}

static void
read_batch(const char *body, size_t n, char (*md5)[MD5_HEX_SIZE],
    struct sqs_result *results)
{
	sqs_read_batch(body, strlen(body), n, md5, results);
}

static void
test_batches(void **state)
{
	char md5[3][MD5_HEX_SIZE] = {"d0", "d1", "d2"};
	struct sqs_result results[3];

	(void)state;
	read_batch("{\"Successful\":["
		   "{\"Id\":\"1\",\"MD5OfMessageBody\":\"d1\"},"
		   "{\"Id\":\"0\",\"MD5OfMessageBody\":\"xx\"},"
		   "{\"Id\":\"7\",\"MD5OfMessageBody\":\"d1\"},"
		   "{\"Id\":1},{},3],"
		   "\"Failed\":[{\"Id\":\"2\",\"SenderFault\":\"true\","
		   "\"Code\":\"InvalidMessageContents\",\"Message\":\"m\"}]}",
	    3, md5, results);
	assert_int_equal(results[0].err, ERR_PROTOCOL);
	assert_int_equal(results[1].err, ERR_OK);
	assert_int_equal(results[2].err, ERR_REFUSED);
	assert_true(results[2].sender_fault);
	assert_string_equal(results[2].code, "InvalidMessageContents");
	assert_string_equal(results[2].message, "m");

	/* In both lists is failed; in neither is unknown. */
	read_batch("{\"Successful\":[{\"Id\":\"0\"}],\"Failed\":[{\"Id\":\"0\","
		   "\"SenderFault\":false,\"Code\":\"InternalError\"},"
		   "{\"Id\":\"1\",\"Code\":\"ThrottlingException\"}]}",
	    3, NULL, results);
	assert_int_equal(results[0].err, ERR_REFUSED);
	assert_false(results[0].sender_fault);
	assert_int_equal(results[1].err, ERR_THROTTLED);
	assert_int_equal(results[2].err, ERR_PROTOCOL);
	assert_false(results[2].sender_fault);
}

static void
test_senseless_batches(void **state)
{
	static const char *const bodies[] = {"", "{}", "null", "[]", "{",
	    "{\"Successful\":{}}", "{\"Successful\":[{\"Id\":0}]}",
	    "{\"Successful\":[{\"Id\":\"00\"},{\"Id\":\"\"}]}"};
	struct sqs_result results[2];

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		read_batch(bodies[i], 2, NULL, results);
		assert_int_equal(results[0].err, ERR_PROTOCOL);
		assert_int_equal(results[1].err, ERR_PROTOCOL);
	}
}

static void
test_haul(void **state)
{
	static const char body[] =
	    "{\"Messages\":["
	    "{\"MessageId\":\"m1\",\"ReceiptHandle\":\"r1\",\"Body\":\"hello\","
	    "\"MD5OfBody\":\"5d41402abc4b2a76b9719d911017c592\","
	    "\"Attributes\":{\"ApproximateReceiveCount\":\"3\","
	    "\"SentTimestamp\":\"1767225600123\"}},"
	    "{\"MessageId\":\"m2\",\"ReceiptHandle\":\"r2\",\"Body\":\"hello\","
	    "\"MD5OfBody\":\"wrong\"},"
	    "{\"MessageId\":\"m3\",\"ReceiptHandle\":\"r3\"},"
	    "{\"MessageId\":\"m4\",\"Body\":\"hello\","
	    "\"MD5OfBody\":\"5d41402abc4b2a76b9719d911017c592\"},"
	    "{\"ReceiptHandle\":\"r5\",\"Body\":\"hello\","
	    "\"MD5OfBody\":\"5d41402abc4b2a76b9719d911017c592\"}]}";
	struct sqs_haul haul;

	(void)state;
	assert_int_equal(sqs_read_haul(body, strlen(body), &haul), ERR_OK);
	assert_int_equal(haul.n, 2);
	assert_int_equal(haul.damaged, 3);
	assert_string_equal(haul.messages[0].message_id, "m1");
	assert_string_equal(haul.messages[0].receipt_handle, "r1");
	assert_string_equal(haul.messages[0].body, "hello");
	assert_int_equal(haul.messages[0].body_len, 5);
	assert_int_equal(haul.messages[0].receive_count, 3);
	assert_int_equal(haul.messages[0].sent_at, 1767225600123);
	assert_string_equal(haul.messages[1].message_id, "");
	assert_int_equal(haul.messages[1].receive_count, 0);
	assert_int_equal(haul.messages[1].sent_at, 0);
	sqs_haul_free(&haul);

	assert_int_equal(sqs_read_haul("{}", 2, &haul), ERR_OK);
	assert_int_equal(haul.n, 0);
	sqs_haul_free(&haul);
	assert_int_equal(sqs_read_haul("<html>", 6, &haul), ERR_PROTOCOL);
	assert_int_equal(sqs_read_haul("", 0, &haul), ERR_PROTOCOL);
}

static void
test_queues(void **state)
{
	static const char body[] =
	    "{\"Attributes\":{\"ApproximateNumberOfMessages\":\"12\","
	    "\"ApproximateNumberOfMessagesNotVisible\":\"3\","
	    "\"MaximumMessageSize\":\"262144\",\"QueueArn\":\"arn:x\"}}";
	struct sqs_attributes attributes;
	char url[16];

	(void)state;
	assert_int_equal(
	    sqs_read_attributes(body, strlen(body), &attributes), ERR_OK);
	assert_int_equal(attributes.visible, 12);
	assert_int_equal(attributes.in_flight, 3);
	assert_int_equal(attributes.delayed, -1);
	assert_int_equal(attributes.maximum_message_size, 262144);
	assert_string_equal(attributes.arn, "arn:x");
	assert_int_equal(
	    sqs_read_attributes("{}", 2, &attributes), ERR_PROTOCOL);

	assert_int_equal(
	    sqs_read_url("{\"QueueUrl\":\"http://q\"}", 23, url, sizeof(url)),
	    ERR_OK);
	assert_string_equal(url, "http://q");
	assert_int_equal(sqs_read_url("{}", 2, url, sizeof(url)), ERR_PROTOCOL);
}

static void
test_region_of_url(void **state)
{
	static const char *const cases[][2] = {
	    {URL, "eu-west-1"},
	    {"https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1"},
	    {"https://sqs-fips.us-gov-west-1.amazonaws.com/1/q",
		"us-gov-west-1"},
	    {"https://sqs.us-east-2.api.aws/1/q", "us-east-2"},
	    {"https://vpce-1a-2b.sqs.us-east-1.vpce.amazonaws.com/1/q",
		"us-east-1"},
	    {"https://eu-central-1.queue.amazonaws.com/1/q", "eu-central-1"},
	    {"http://sqs.us-east-1.localhost:4566/000000000000/q", "us-east-1"},
	    {"http://localhost:9324/000000000000/q", ""},
	    {"http://127.0.0.1:9324/000000000000/q", ""},
	    {"https://sqs.example.com/q", ""},
	    {"nonsense", ""},
	    {"", ""},
	};
	char region[SQS_REGION_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sqs_region_of_url(cases[i][0], region);
		assert_string_equal(region, cases[i][1]);
	}
}

static struct sqs_endpoint
choose(const struct config *config, const char *profile, const char *url)
{
	struct sqs_endpoint endpoint;
	char why[256];

	assert_int_equal(sqs_endpoint_choose(
			     &endpoint, config, profile, url, why, sizeof(why)),
	    ERR_OK);
	return endpoint;
}

/* Each stronger source is set in turn, the weaker ones staying. */
static void
test_precedence(void **state)
{
	struct config config = aws_config_blank();
	struct sqs_endpoint endpoint;

	(void)state;
	endpoint = choose(&config, "", URL);
	assert_string_equal(endpoint.region, "eu-west-1");
	assert_string_equal(
	    endpoint.url, "https://sqs.eu-west-1.amazonaws.com/");
	endpoint = choose(&config, "us-west-1", URL);
	assert_string_equal(endpoint.region, "us-west-1");
	assert_string_equal(endpoint.host, "sqs.eu-west-1.amazonaws.com");
	config.aws_default_region = "us-west-2";
	assert_string_equal(
	    choose(&config, "us-west-1", URL).region, "us-west-2");
	config.aws_region = "cn-north-1";
	endpoint = choose(&config, "us-west-1", "");
	assert_string_equal(endpoint.region, "cn-north-1");
	assert_string_equal(
	    endpoint.url, "https://sqs.cn-north-1.amazonaws.com.cn/");
	config.aws_endpoint_url = "http://LocalHost:4566/ignored";
	endpoint = choose(&config, "", URL);
	assert_string_equal(endpoint.url, "http://localhost:4566/");
	assert_string_equal(endpoint.host, "localhost:4566");
	config.aws_endpoint_url_sqs = "http://[::1]:80";
	endpoint = choose(&config, "", URL);
	assert_string_equal(endpoint.url, "http://[::1]/");
	config.aws_endpoint_url_sqs = "https://host:443/";
	assert_string_equal(choose(&config, "", URL).host, "host");
	config.aws_endpoint_url_sqs = "https://host:80/";
	assert_string_equal(choose(&config, "", URL).host, "host:80");
}

static void
test_bad_endpoints(void **state)
{
	static const char *const urls[] = {"localhost:4566", "ftp://h/",
	    "http://", "http:///q", "http://user@host/", "http://a b/",
	    "http://h\r\nX: y/", "http://h:80:80/", "http://h:/", "http://h:x/",
	    "http://:80/", "http://[::1/", "http://[::1]x/"};
	struct config config = aws_config_blank();
	struct sqs_endpoint endpoint;
	char why[256] = "", long_url[600];

	(void)state;
	assert_int_equal(sqs_endpoint_choose(&endpoint, &config, "",
			     "http://localhost:9324/q", why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_string_equal(why, "no region: set AWS_REGION");
	config.aws_region = "Mars";
	assert_int_equal(
	    sqs_endpoint_choose(&endpoint, &config, "", URL, why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_non_null(strstr(why, "Mars"));
	config.aws_region = "eu-west-1";
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		config.aws_endpoint_url = urls[i];
		assert_int_equal(sqs_endpoint_choose(&endpoint, &config, "",
				     URL, why, sizeof(why)),
		    ERR_BAD_INPUT);
	}
	config.aws_endpoint_url = "http://u:hunter2@h/";
	assert_int_equal(
	    sqs_endpoint_choose(&endpoint, &config, "", URL, why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_null(strstr(why, "hunter2"));
	config.aws_endpoint_url = "";
	memset(long_url, 'x', sizeof(long_url) - 1);
	long_url[sizeof(long_url) - 1] = '\0';
	assert_int_equal(sqs_endpoint_choose(&endpoint, &config, "", long_url,
			     why, sizeof(why)),
	    ERR_BAD_INPUT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_requests),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_batches),
	    cmocka_unit_test(test_senseless_batches),
	    cmocka_unit_test(test_haul),
	    cmocka_unit_test(test_queues),
	    cmocka_unit_test(test_region_of_url),
	    cmocka_unit_test(test_precedence),
	    cmocka_unit_test(test_bad_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
