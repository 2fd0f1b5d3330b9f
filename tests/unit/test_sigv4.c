/* Known answers, computed with botocore; the derived key is the example of
 * AWS' own documentation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sigv4.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define BODY                                                                   \
	"{\"QueueUrl\":\"https://sqs.us-east-1.amazonaws.com/123456789012/q\"" \
	",\"MessageBody\":\"hello\"}"

static const struct sigv4_request send_message = {
    .host = "sqs.us-east-1.amazonaws.com",
    .target = "AmazonSQS.SendMessage",
    .content_type = "application/x-amz-json-1.0",
    .region = "us-east-1",
    .service = "sqs",
    .body = BODY,
    .body_len = sizeof(BODY) - 1,
    .when = 1767225600, /* 2026-01-01T00:00:00Z */
};

static void
test_without_token(void **state)
{
	struct credentials keys = {"AKIDEXAMPLE", SECRET, ""};
	struct sigv4_key cache = {0};
	struct sigv4_headers headers;

	(void)state;
	sigv4_sign(&send_message, &keys, &cache, &headers);
	assert_string_equal(headers.date, "20260101T000000Z");
	assert_string_equal(headers.authorization,
	    "AWS4-HMAC-SHA256 "
	    "Credential=AKIDEXAMPLE/20260101/us-east-1/sqs/aws4_request, "
	    "SignedHeaders=content-type;host;x-amz-date;x-amz-target, "
	    "Signature=7f47371a3bf40c6666f453254ff59881"
	    "2a20ebf66de6aef01caf836bc946e9d6");
}

static void
test_with_token(void **state)
{
	struct credentials keys = {"AKIDEXAMPLE", SECRET, "FwoGZXIvYXdzE/+=="};
	struct sigv4_key cache = {0};
	struct sigv4_headers headers;

	(void)state;
	sigv4_sign(&send_message, &keys, &cache, &headers);
	assert_non_null(strstr(headers.authorization,
	    "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;"
	    "x-amz-target, "));
	assert_non_null(strstr(headers.authorization,
	    "Signature=e6eebfbfad9d8196561e01625c6948ec"
	    "379ccb72e1dbdea7bd240a82b25fa3ba"));
}

static void
test_derived_key(void **state)
{
	struct credentials keys = {"AKIDEXAMPLE", SECRET, ""};
	struct sigv4_request request = send_message;
	struct sigv4_key cache = {0};
	struct sigv4_headers headers;
	char hex[SHA256_HEX_SIZE];

	(void)state;
	request.service = "iam";
	request.when = 1329264000; /* 2012-02-15 */
	sigv4_sign(&request, &keys, &cache, &headers);
	hex_encode(cache.bytes, sizeof(cache.bytes), hex);
	assert_string_equal(hex, "f4780e2d9f65fa895f9c67b32ce1baf0"
				 "b0d8a43505a000a1a9e090d414db404d");
}

/* A cached key must not outlive its day, its region or its secret. */
static void
test_cache_follows(void **state)
{
	struct credentials keys = {"AKIDEXAMPLE", SECRET, ""};
	struct sigv4_key cache = {0}, fresh = {0};
	struct sigv4_headers first, second, expected;
	struct sigv4_request next_day = send_message;

	(void)state;
	sigv4_sign(&send_message, &keys, &cache, &first);
	sigv4_sign(&send_message, &keys, &cache, &second);
	assert_string_equal(first.authorization, second.authorization);

	next_day.when += 86400;
	sigv4_sign(&next_day, &keys, &cache, &second);
	sigv4_sign(&next_day, &keys, &fresh, &expected);
	assert_string_equal(second.authorization, expected.authorization);

	keys.secret_access_key[0] = 'x';
	memset(&fresh, 0, sizeof(fresh));
	sigv4_sign(&next_day, &keys, &cache, &second);
	sigv4_sign(&next_day, &keys, &fresh, &expected);
	assert_string_equal(second.authorization, expected.authorization);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_without_token),
	    cmocka_unit_test(test_with_token),
	    cmocka_unit_test(test_derived_key),
	    cmocka_unit_test(test_cache_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
