/*
 * Requests are written by hand, because a batch of ten orders is on the path
 * of every sale; answers are read with jansson, which is strict where it
 * must be.
 */
#include "sqs_protocol.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* --- Writing JSON --- */

static char *
body_grow(struct sqs_body *body, size_t more)
{
	size_t size = body->size == 0 ? 1024 : body->size;
	char *data;

	while (size - body->len < more)
		size *= 2;
	if (size != body->size) {
		data = realloc(body->data, size);
		if (data == NULL) {
			body->failed = true;
			return NULL;
		}
		body->data = data;
		body->size = size;
	}
	return body->data + body->len;
}

static void
put_bytes(struct sqs_body *body, const char *bytes, size_t len)
{
	char *end = body_grow(body, len);

	if (end == NULL)
		return;
	memcpy(end, bytes, len);
	body->len += len;
}

static void
put(struct sqs_body *body, const char *text)
{
	put_bytes(body, text, strlen(text));
}

static void
put_number(struct sqs_body *body, unsigned number)
{
	char digits[TEXT_DIGITS_MAX];
	const char *end = text_put_digits(digits, number);

	put_bytes(body, digits, (size_t)(end - digits));
}

/* A JSON string, quotes and all.  UTF-8 passes as it is. */
static void
put_string(struct sqs_body *body, const char *text, size_t len)
{
	/* Each byte becomes six at most: backslash, u and four digits. */
	char *start = body_grow(body, 6 * len + 2), *out = start;

	if (start == NULL)
		return;
	*out++ = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\') {
			*out++ = '\\';
			*out++ = (char)c;
		} else if (c < 0x20) {
			*out++ = '\\';
			*out++ = 'u';
			*out++ = '0';
			*out++ = '0';
			*out++ = "01"[c >> 4];
			*out++ = "0123456789abcdef"[c & 15];
		} else {
			*out++ = (char)c;
		}
	}
	*out++ = '"';
	body->len += (size_t)(out - start);
}

static void
put_text(struct sqs_body *body, const char *text)
{
	put_string(body, text, strlen(text));
}

static void
put_queue(struct sqs_body *body, const char *queue_url)
{
	put(body, "{\"QueueUrl\":");
	put_text(body, queue_url);
}

/* {"Id":"3", and the name of the field that follows. */
static void
put_entry(struct sqs_body *body, size_t i, const char *field)
{
	put(body, i == 0 ? "{\"Id\":\"" : ",{\"Id\":\"");
	put_number(body, (unsigned)i);
	put(body, "\",\"");
	put(body, field);
	put(body, "\":");
}

void
sqs_write_send_batch(struct sqs_body *body, const char *queue_url,
    const struct sqs_text *bodies, size_t n)
{
	put_queue(body, queue_url);
	put(body, ",\"Entries\":[");
	for (size_t i = 0; i < n; i++) {
		put_entry(body, i, "MessageBody");
		put_string(body, bodies[i].data, bodies[i].len);
		put(body, "}");
	}
	put(body, "]}");
}

void
sqs_write_delete_batch(struct sqs_body *body, const char *queue_url,
    const char *const *receipt_handles, size_t n)
{
	put_queue(body, queue_url);
	put(body, ",\"Entries\":[");
	for (size_t i = 0; i < n; i++) {
		put_entry(body, i, "ReceiptHandle");
		put_text(body, receipt_handles[i]);
		put(body, "}");
	}
	put(body, "]}");
}

void
sqs_write_visibility_batch(struct sqs_body *body, const char *queue_url,
    const char *const *receipt_handles, size_t n, unsigned seconds)
{
	put_queue(body, queue_url);
	put(body, ",\"Entries\":[");
	for (size_t i = 0; i < n; i++) {
		put_entry(body, i, "ReceiptHandle");
		put_text(body, receipt_handles[i]);
		put(body, ",\"VisibilityTimeout\":");
		put_number(body, seconds);
		put(body, "}");
	}
	put(body, "]}");
}

void
sqs_write_receive(struct sqs_body *body, const char *queue_url, unsigned max,
    unsigned wait_seconds, unsigned visibility_seconds)
{
	put_queue(body, queue_url);
	put(body, ",\"MaxNumberOfMessages\":");
	put_number(body, max);
	put(body, ",\"WaitTimeSeconds\":");
	put_number(body, wait_seconds);
	put(body, ",\"VisibilityTimeout\":");
	put_number(body, visibility_seconds);
	put(body,
	    ",\"MessageSystemAttributeNames\":[\"ApproximateReceiveCount\","
	    "\"SentTimestamp\"]}");
}

void
sqs_write_get_attributes(struct sqs_body *body, const char *queue_url)
{
	put_queue(body, queue_url);
	put(body, ",\"AttributeNames\":[\"All\"]}");
}

void
sqs_write_get_url(struct sqs_body *body, const char *name)
{
	put(body, "{\"QueueName\":");
	put_text(body, name);
	put(body, "}");
}

void
sqs_write_create(
    struct sqs_body *body, const char *name, const char *const *attributes)
{
	put(body, "{\"QueueName\":");
	put_text(body, name);
	if (attributes != NULL && attributes[0] != NULL) {
		put(body, ",\"Attributes\":");
		for (size_t i = 0; attributes[i] != NULL; i += 2) {
			put(body, i == 0 ? "{" : ",");
			put_text(body, attributes[i]);
			put(body, ":");
			put_text(body, attributes[i + 1]);
		}
		put(body, "}");
	}
	put(body, "}");
}

/* --- Errors --- */

/*
 * What the codes mean to us; all others are ERR_REFUSED.  Lists: the
 * service's API model and the retry rules of the AWS SDKs.
 */
static const struct {
	const char *code;
	enum err err;
} meanings[] = {
    {"Throttling", ERR_THROTTLED},
    {"ThrottlingException", ERR_THROTTLED},
    {"ThrottledException", ERR_THROTTLED},
    {"RequestThrottled", ERR_THROTTLED},
    {"RequestThrottledException", ERR_THROTTLED},
    {"TooManyRequestsException", ERR_THROTTLED},
    {"RequestLimitExceeded", ERR_THROTTLED},
    {"BandwidthLimitExceeded", ERR_THROTTLED},
    {"LimitExceededException", ERR_THROTTLED},
    {"SlowDown", ERR_THROTTLED},
    {"PriorRequestNotComplete", ERR_THROTTLED},
    {"ProvisionedThroughputExceededException", ERR_THROTTLED},
    {"EC2ThrottledException", ERR_THROTTLED},
    {"TransactionInProgressException", ERR_THROTTLED},
    {"KmsThrottled", ERR_THROTTLED},
    {"OverLimit", ERR_THROTTLED},
    {"ExpiredToken", ERR_DENIED},
    {"ExpiredTokenException", ERR_DENIED},
    {"RequestExpired", ERR_DENIED},
    {"RequestTimeTooSkewed", ERR_DENIED},
    {"RequestInTheFuture", ERR_DENIED},
    {"AccessDenied", ERR_DENIED},
    {"AccessDeniedException", ERR_DENIED},
    {"KmsAccessDenied", ERR_DENIED},
    {"InvalidClientTokenId", ERR_DENIED},
    {"UnrecognizedClientException", ERR_DENIED},
    {"MissingAuthenticationToken", ERR_DENIED},
    {"MissingAuthenticationTokenException", ERR_DENIED},
    {"SignatureDoesNotMatch", ERR_DENIED},
    {"InvalidSignatureException", ERR_DENIED},
    {"IncompleteSignature", ERR_DENIED},
    {"IncompleteSignatureException", ERR_DENIED},
    {"InvalidSecurity", ERR_DENIED},
    {"QueueDoesNotExist", ERR_NOT_FOUND},
    {"AWS.SimpleQueueService.NonExistentQueue", ERR_NOT_FOUND},
    {"ResourceNotFoundException", ERR_NOT_FOUND},
};

static enum err
meaning_of(const char *code)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcmp(code, meanings[i].code) == 0)
			return meanings[i].err;
	return ERR_REFUSED;
}

bool
sqs_is_expired(const struct sqs_result *result)
{
	return strcmp(result->code, "ExpiredToken") == 0 ||
	       strcmp(result->code, "ExpiredTokenException") == 0 ||
	       strcmp(result->code, "RequestExpired") == 0;
}

/* "com.amazonaws.sqs#QueueDoesNotExist:http://..." -> QueueDoesNotExist */
static void
copy_code(char out[SQS_CODE_MAX], const char *type)
{
	size_t len = strcspn(type, ":");

	for (size_t i = len; i > 0; i--) {
		if (type[i - 1] == '#') {
			type += i;
			len -= i;
			break;
		}
	}
	snprintf(out, SQS_CODE_MAX, "%.*s",
	    (int)(len < SQS_CODE_MAX ? len : SQS_CODE_MAX - 1), type);
}

static const char *
text_of(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text == NULL ? "" : text;
}

static json_t *
parse_object(const char *body, size_t len)
{
	json_t *root = json_loadb(body, len, JSON_ALLOW_NUL, NULL);

	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

void
sqs_read_error(int status, const char *body, size_t len,
    const char *query_error, struct sqs_result *result)
{
	json_t *root = parse_object(body, len);
	const char *message = text_of(root, "message");

	memset(result, 0, sizeof(*result));
	copy_code(result->code, text_of(root, "__type"));
	if (result->code[0] == '\0') /* "Code;Sender", in the older names */
		snprintf(result->code, sizeof(result->code), "%.*s",
		    (int)strcspn(query_error, ";"), query_error);
	if (message[0] == '\0')
		message = text_of(root, "Message");
	snprintf(result->message, sizeof(result->message), "HTTP %d%s%.200s",
	    status, message[0] == '\0' ? "" : ": ", message);
	json_decref(root);

	result->err = meaning_of(result->code);
	if (status == 429)
		result->err = ERR_THROTTLED;
	else if (result->code[0] == '\0' && (status == 401 || status == 403))
		result->err = ERR_DENIED;
}

/* --- Batches --- */

static void
result_set(struct sqs_result *result, enum err err, const char *message)
{
	memset(result, 0, sizeof(*result));
	result->err = err;
	snprintf(result->message, sizeof(result->message), "%s", message);
}

/* The entry's index from its Id; n when it is none of ours. */
static size_t
entry_index(json_t *entry, size_t n)
{
	const char *id = text_of(entry, "Id");

	if (id[0] < '0' || id[0] > '9' || id[1] != '\0' ||
	    (size_t)(id[0] - '0') >= n)
		return n;
	return (size_t)(id[0] - '0');
}

static void
read_successful(json_t *list, size_t n, char (*md5)[MD5_HEX_SIZE],
    struct sqs_result *results)
{
	json_t *entry;
	size_t i, at;

	json_array_foreach(list, at, entry)
	{
		i = entry_index(entry, n);
		if (i == n)
			continue;
		if (md5 != NULL &&
		    strcmp(text_of(entry, "MD5OfMessageBody"), md5[i]) != 0)
			result_set(&results[i], ERR_PROTOCOL,
			    "the MD5 of the answer is not the body's");
		else
			result_set(&results[i], ERR_OK, "");
	}
}

/* The protocol says boolean; some servers have been seen to say "true". */
static bool
is_true(json_t *value)
{
	const char *text = json_string_value(value);

	return json_is_true(value) ||
	       (text != NULL && strcmp(text, "true") == 0);
}

static void
read_failed(json_t *list, size_t n, struct sqs_result *results)
{
	struct sqs_result *result;
	json_t *entry;
	size_t i, at;

	json_array_foreach(list, at, entry)
	{
		i = entry_index(entry, n);
		if (i == n)
			continue;
		result = &results[i];
		result_set(result, ERR_OK, text_of(entry, "Message"));
		copy_code(result->code, text_of(entry, "Code"));
		result->err = meaning_of(result->code);
		result->sender_fault =
		    is_true(json_object_get(entry, "SenderFault"));
	}
}

void
sqs_read_batch(const char *body, size_t len, size_t n,
    char (*md5)[MD5_HEX_SIZE], struct sqs_result *results)
{
	json_t *root = parse_object(body, len);

	/* What is in neither list may or may not have happened. */
	for (size_t i = 0; i < n; i++)
		result_set(&results[i], ERR_PROTOCOL,
		    root == NULL ? "the answer is no JSON object"
				 : "the answer does not mention this entry");
	/* Failed comes second: in both lists is failed. */
	read_successful(json_object_get(root, "Successful"), n, md5, results);
	read_failed(json_object_get(root, "Failed"), n, results);
	json_decref(root);
}

/* --- Messages --- */

/* Numbers travel as strings in attributes; -1 when there is none. */
static int64_t
number_of(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	char *end;
	long long number;

	if (json_is_integer(value))
		return json_integer_value(value);
	if (text == NULL)
		return -1;
	number = strtoll(text, &end, 10);
	return end == text ? -1 : number;
}

static bool
body_is_whole(const struct sqs_message *message, const char *md5)
{
	char actual[MD5_HEX_SIZE];

	return !md5_hex(message->body, message->body_len, actual) ||
	       strcmp(actual, md5) == 0;
}

static bool
read_message(json_t *json, struct sqs_message *message)
{
	json_t *attributes = json_object_get(json, "Attributes");
	json_t *body = json_object_get(json, "Body");
	int64_t count = number_of(attributes, "ApproximateReceiveCount");
	int64_t sent_at = number_of(attributes, "SentTimestamp");

	message->message_id = text_of(json, "MessageId");
	message->receipt_handle = text_of(json, "ReceiptHandle");
	message->body = json_string_value(body);
	message->body_len = json_string_length(body);
	message->receive_count = count > 0 ? (unsigned)count : 0;
	message->sent_at = sent_at > 0 ? sent_at : 0;
	return message->body != NULL && message->receipt_handle[0] != '\0' &&
	       body_is_whole(message, text_of(json, "MD5OfBody"));
}

enum err
sqs_read_haul(const char *body, size_t len, struct sqs_haul *haul)
{
	json_t *json;
	size_t at;

	memset(haul, 0, sizeof(*haul));
	haul->root = parse_object(body, len);
	if (haul->root == NULL)
		return ERR_PROTOCOL;
	/* No Messages at all is how an empty queue answers. */
	json_array_foreach(json_object_get(haul->root, "Messages"), at, json)
	{
		if (haul->n == SQS_BATCH_MAX)
			break;
		if (read_message(json, &haul->messages[haul->n]))
			haul->n++;
		else
			haul->damaged++;
	}
	return ERR_OK;
}

void
sqs_haul_free(struct sqs_haul *haul)
{
	json_decref(haul->root);
	haul->root = NULL;
	haul->n = 0;
}

/* --- Queues --- */

enum err
sqs_read_attributes(const char *body, size_t len, struct sqs_attributes *out)
{
	json_t *root = parse_object(body, len), *map;

	map = json_object_get(root, "Attributes");
	if (!json_is_object(map)) {
		json_decref(root);
		return ERR_PROTOCOL;
	}
	memset(out, 0, sizeof(*out));
	out->visible = number_of(map, "ApproximateNumberOfMessages");
	out->in_flight =
	    number_of(map, "ApproximateNumberOfMessagesNotVisible");
	out->delayed = number_of(map, "ApproximateNumberOfMessagesDelayed");
	out->maximum_message_size = number_of(map, "MaximumMessageSize");
	snprintf(out->arn, sizeof(out->arn), "%s", text_of(map, "QueueArn"));
	json_decref(root);
	return ERR_OK;
}

enum err
sqs_read_url(const char *body, size_t len, char *url, size_t size)
{
	json_t *root = parse_object(body, len);
	const char *text = text_of(root, "QueueUrl");
	bool fits = text[0] != '\0' && strlen(text) < size;

	if (fits)
		snprintf(url, size, "%s", text);
	json_decref(root);
	return fits ? ERR_OK : ERR_PROTOCOL;
}
