/*
 * What SQS answers: every entry of a batch gets a verdict, none is taken for
 * done without its MD5, and no message whose body is not what was sent comes
 * through.  What we write is JSON that says what was meant.
 */
#include "fuzz.h"

#include <jansson.h>

#include "sqs_endpoint.h"
#include "sqs_protocol.h"

static void
must_be_result(const struct sqs_result *r)
{
	MUST(strnlen(r->code, sizeof(r->code)) < sizeof(r->code));
	MUST(strnlen(r->message, sizeof(r->message)) < sizeof(r->message));
	MUST(err_name(r->err) != NULL);
}

/* Is it true of any entry in that list of the answer? */
static bool
list_has(const char *body, size_t len, const char *list, size_t id,
    const char *name, const char *value)
{
	json_t *root = json_loadb(body, len, JSON_ALLOW_NUL, NULL), *entry;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(root, list), i, entry)
	{
		const char *text =
		    json_string_value(json_object_get(entry, "Id"));
		const char *other =
		    json_string_value(json_object_get(entry, name));
		char wanted[] = {(char)('0' + id), '\0'};

		if (text != NULL && strcmp(text, wanted) == 0 &&
		    (value == NULL ||
			(other != NULL && strcmp(other, value) == 0)))
			found = true;
	}
	json_decref(root);
	return found;
}

static void
check_batch(const char *body, size_t len, size_t n)
{
	char md5[SQS_BATCH_MAX][MD5_HEX_SIZE];
	struct sqs_result sent[SQS_BATCH_MAX], deleted[SQS_BATCH_MAX];

	for (size_t i = 0; i < n; i++)
		MUST(md5_hex(&"0123456789"[i], 1, md5[i]));
	memset(sent, 0xa5, sizeof(sent));
	memset(deleted, 0xa5, sizeof(deleted));
	sqs_read_batch(body, len, n, md5, sent);
	sqs_read_batch(body, len, n, NULL, deleted);
	for (size_t i = 0; i < n; i++) {
		must_be_result(&sent[i]);
		must_be_result(&deleted[i]);
		MUST(!sent[i].sender_fault || sent[i].err != ERR_OK);
		if (sent[i].err == ERR_OK)
			MUST(list_has(body, len, "Successful", i,
			    "MD5OfMessageBody", md5[i]));
		if (deleted[i].err == ERR_OK) {
			MUST(list_has(body, len, "Successful", i, NULL, NULL));
			MUST(!list_has(body, len, "Failed", i, NULL, NULL));
		}
	}
}

/* The digest that came with this very message. */
static const char *
digest_of(const struct sqs_haul *haul, const struct sqs_message *m)
{
	json_t *json;
	size_t i;

	json_array_foreach(json_object_get(haul->root, "Messages"), i,
	    json) if (json_string_value(json_object_get(json, "Body")) ==
		      m->body) return json_string_value(json_object_get(json,
	    "MD5OfBody"));
	return NULL;
}

static void
check_haul(const char *body, size_t len)
{
	struct sqs_haul haul;
	char md5[MD5_HEX_SIZE];

	if (sqs_read_haul(body, len, &haul) != ERR_OK)
		return;
	MUST(haul.n <= SQS_BATCH_MAX);
	for (size_t i = 0; i < haul.n; i++) {
		const struct sqs_message *m = &haul.messages[i];
		const char *digest = digest_of(&haul, m);

		MUST(m->body != NULL && m->body[m->body_len] == '\0');
		MUST(m->message_id != NULL);
		MUST(m->receipt_handle != NULL && m->receipt_handle[0] != '\0');
		MUST(m->sent_at >= 0);
		MUST(md5_hex(m->body, m->body_len, md5));
		MUST(digest != NULL && strcmp(digest, md5) == 0);
	}
	sqs_haul_free(&haul);
}

static void
check_rest(int status, const char *body, size_t len)
{
	struct sqs_attributes attributes;
	struct sqs_result result;
	char url[SQS_QUEUE_URL_MAX + 1], *header = fuzz_text(body, len);

	sqs_read_error(status, body, len, header, &result);
	must_be_result(&result);
	MUST(result.err != ERR_OK);
	if (sqs_is_expired(&result))
		MUST(result.err == ERR_DENIED || status == 429);
	free(header);
	if (sqs_read_attributes(body, len, &attributes) == ERR_OK)
		MUST(strnlen(attributes.arn, sizeof(attributes.arn)) <
		     sizeof(attributes.arn));
	if (sqs_read_url(body, len, url, sizeof(url)) == ERR_OK)
		MUST(url[0] != '\0' && strnlen(url, sizeof(url)) < sizeof(url));
}

/* Any text of UTF-8 as a message: SQS reads what we meant. */
static void
check_send(const char *text, size_t len)
{
	struct sqs_text message = {text, len};
	struct sqs_body request = {.data = NULL};
	json_t *wanted = json_stringn(text, len), *root, *entries, *sent;

	if (wanted == NULL) /* no UTF-8 */
		return;
	sqs_write_send_batch(&request, "http://q/\"1", &message, 1);
	MUST(!request.failed);
	root = json_loadb(request.data, request.len, JSON_ALLOW_NUL, NULL);
	entries = json_object_get(root, "Entries");
	sent = json_object_get(json_array_get(entries, 0), "MessageBody");
	MUST(json_array_size(entries) == 1);
	MUST(json_equal(sent, wanted));
	json_decref(root);
	json_decref(wanted);
	free(request.data);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = {400, 401, 403, 404, 429, 500, 503};
	char *body;

	if (size == 0)
		return 0;
	body = fuzz_bytes(data + 1, size - 1);
	check_batch(body, size - 1, 1 + data[0] % SQS_BATCH_MAX);
	check_haul(body, size - 1);
	check_rest(statuses[data[0] % 7], body, size - 1);
	check_send(body, size - 1);
	free(body);
	return 0;
}
