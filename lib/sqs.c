/*
 * Calls to SQS: body, keys, signature, exchange, answer, in this order.
 * What the bodies look like is in sqs_protocol.c.
 */
#include "sqs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "credentials.h"
#include "credentials_profile.h"
#include "http.h"
#include "log.h"
#include "sigv4.h"
#include "sqs_endpoint.h"
#include "sqs_protocol.h"

/* Ten messages of 1 MiB, each byte of which may come as a \u escape. */
#define RESPONSE_MAX (64 * 1024 * 1024)
#define SKEW_SECONDS 240     /* SQS tolerates five minutes */
#define LONG_POLL_SLACK 5000 /* ms beyond the wait until we give up */
#define CONTENT_TYPE "application/x-amz-json-1.0"

struct sqs {
	struct ev_loop *loop;
	struct http *http;
	struct credential_provider *provider;
	struct sqs_endpoint endpoint;
	char *queue_url;
	unsigned timeout_ms;
	long clock_offset; /* seconds, Amazon's clock minus ours */
	struct sigv4_key key;
	struct call *calls;
};

struct call;
typedef void answer_fn(
    struct call *, const struct sqs_result *, const struct http_response *);

/* From the caller's request to its callback. */
struct call {
	struct sqs *sqs;
	struct call *next, **link; /* in sqs->calls */
	const char *target;	   /* X-Amz-Target */
	struct sqs_body body;
	size_t n; /* entries of a batch, else 0 */
	bool md5_known;
	char md5[SQS_BATCH_MAX][MD5_HEX_SIZE];
	double ends;	/* clock_seconds() */
	ev_timer guard; /* runs until the request is under way */
	bool failed;	/* the guard only brings failure */
	struct sqs_result failure;
	bool retried;
	time_t signed_at;

	answer_fn *answer; /* turns the outcome into the caller's callback */
	union {
		sqs_batch_fn *batch;
		sqs_receive_fn *receive;
		sqs_attributes_fn *attributes;
		sqs_url_fn *url;
	} fn;
	void *arg;
};

static void call_try(struct call *);

/* --- A call's life --- */

static void
call_free(struct call *call)
{
	free(call->body.data);
	free(call);
}

static void
call_unlink(struct call *call)
{
	ev_timer_stop(call->sqs->loop, &call->guard);
	*call->link = call->next;
	if (call->next != NULL)
		call->next->link = call->link;
}

/* The callback may free the client: nothing of it is touched afterwards. */
static void
call_finish(struct call *call, const struct sqs_result *result,
    const struct http_response *response)
{
	call_unlink(call);
	call->answer(call, result, response);
	call_free(call);
}

static void
on_guard(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct call *call = timer->data;

	(void)loop;
	(void)revents;
	if (!call->failed) {
		credentials_cancel(call->sqs->provider, call);
		call->failure.err = ERR_UNAVAILABLE;
		snprintf(call->failure.message, sizeof(call->failure.message),
		    "no credentials in time");
	}
	call_finish(call, &call->failure, NULL);
}

static void
guard_set(struct call *call, double seconds)
{
	ev_timer_stop(call->sqs->loop, &call->guard);
	ev_now_update(call->sqs->loop);
	ev_timer_set(&call->guard, seconds > 0.0 ? seconds : 0.0, 0.0);
	ev_timer_start(call->sqs->loop, &call->guard);
}

/* The callback must not come before the call has returned. */
static void
call_fail_soon(struct call *call, enum err err, const char *why)
{
	call->failed = true;
	memset(&call->failure, 0, sizeof(call->failure));
	call->failure.err = err;
	snprintf(
	    call->failure.message, sizeof(call->failure.message), "%s", why);
	guard_set(call, 0.0);
}

static struct call *
call_new(struct sqs *sqs, const char *target, answer_fn *answer, void *arg)
{
	struct call *call = calloc(1, sizeof(*call));

	/* Not even this little: the process ends and is started anew. */
	if (call == NULL)
		abort();
	call->sqs = sqs;
	call->target = target;
	call->answer = answer;
	call->arg = arg;
	ev_timer_init(&call->guard, on_guard, 0.0, 0.0);
	call->guard.data = call;
	call->next = sqs->calls;
	call->link = &sqs->calls;
	if (call->next != NULL)
		call->next->link = &call->next;
	sqs->calls = call;
	return call;
}

static void
call_start(struct call *call, unsigned timeout_ms)
{
	call->ends = clock_seconds() + timeout_ms / 1000.0;
	if (call->body.failed)
		call_fail_soon(call, ERR_NOMEM, "out of memory");
	else
		call_try(call);
}

/* --- Answers --- */

/* A clock that is wrong shows as a refused signature and a Date far away. */
static bool
clock_adjust(struct call *call, const struct http_response *response)
{
	struct sqs *sqs = call->sqs;
	time_t off = response->date - call->signed_at;

	if (response->date == 0 || (off > -SKEW_SECONDS && off < SKEW_SECONDS))
		return false;
	/* Not added to what it was: other calls may have found it before. */
	sqs->clock_offset = (long)(response->date - time(NULL));
	log_warn("sqs: this machine's clock is %ld s %s that of the service; "
		 "signing by the latter",
	    labs(sqs->clock_offset),
	    sqs->clock_offset > 0 ? "behind" : "ahead of");
	return true;
}

/* Can a second try with other keys or another clock succeed? */
static bool
call_may_retry(struct call *call, const struct sqs_result *result,
    const struct http_response *response)
{
	if (call->retried || result->err != ERR_DENIED)
		return false;
	if (clock_adjust(call, response))
		return true;
	if (!sqs_is_expired(result))
		return false;
	credentials_expire(call->sqs->provider);
	return true;
}

/* What Amazon's support asks for. */
static void
append_request_id(struct sqs_result *result, const char *id)
{
	size_t len = strlen(result->message);

	if (id[0] != '\0')
		snprintf(result->message + len, sizeof(result->message) - len,
		    " (request %s)", id);
}

/* Whoever called logs what went wrong: only they know what it costs. */
static void
on_response(const struct http_response *response, void *arg)
{
	struct call *call = arg;
	struct sqs_result result;

	memset(&result, 0, sizeof(result));
	if (response->err != ERR_OK) {
		result.err = response->err;
		snprintf(result.message, sizeof(result.message), "%s",
		    response->why);
	} else if (response->status != 200) {
		sqs_read_error(response->status, response->body,
		    response->body_len, response->query_error, &result);
		append_request_id(&result, response->request_id);
		if (call_may_retry(call, &result, response)) {
			call->retried = true;
			call_try(call);
			return;
		}
	}
	call_finish(call, &result, response);
}

/* --- Requests --- */

static void
call_send(struct call *call, const struct credentials *keys)
{
	struct sqs *sqs = call->sqs;
	struct sigv4_headers signature;
	char target[96], date[32], authorization[544];
	char token[sizeof(keys->session_token) + 24];
	const char *headers[] = {"Content-Type: " CONTENT_TYPE,
	    "x-amzn-query-mode: true", target, date, authorization, NULL, NULL};
	struct http_request request = {
	    .method = "POST",
	    .url = sqs->endpoint.url,
	    .headers = headers,
	    .body = call->body.data,
	    .body_len = call->body.len,
	};
	double left = call->ends - clock_seconds();

	call->signed_at = time(NULL) + sqs->clock_offset;
	sigv4_sign(
	    &(struct sigv4_request){
		.host = sqs->endpoint.host,
		.target = call->target,
		.content_type = CONTENT_TYPE,
		.region = sqs->endpoint.region,
		.service = "sqs",
		.body = call->body.data,
		.body_len = call->body.len,
		.when = call->signed_at,
	    },
	    keys, &sqs->key, &signature);
	snprintf(target, sizeof(target), "X-Amz-Target: %s", call->target);
	snprintf(date, sizeof(date), "X-Amz-Date: %s", signature.date);
	snprintf(authorization, sizeof(authorization), "Authorization: %s",
	    signature.authorization);
	if (keys->session_token[0] != '\0') {
		snprintf(token, sizeof(token), "X-Amz-Security-Token: %s",
		    keys->session_token);
		headers[5] = token;
	}
	request.timeout_ms = left > 0.001 ? (unsigned)(left * 1000.0) : 1;
	http_send(sqs->http, &request, on_response, call);
}

static void
on_credentials(const struct credentials *keys, const char *why, void *arg)
{
	struct call *call = arg;

	if (keys == NULL) {
		call_fail_soon(call, ERR_DENIED, why);
		return;
	}
	ev_timer_stop(call->sqs->loop, &call->guard);
	call_send(call, keys);
}

static void
call_try(struct call *call)
{
	guard_set(call, call->ends - clock_seconds());
	credentials_get(call->sqs->provider, on_credentials, call);
}

/* --- Batches --- */

/* These say that the one entry of a call is at fault, not the call. */
static bool
blames_entry(const struct sqs_result *result)
{
	static const char *const codes[] = {"BatchRequestTooLong",
	    "AWS.SimpleQueueService.BatchRequestTooLong",
	    "InvalidMessageContents", "ReceiptHandleIsInvalid"};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(result->code, codes[i]) == 0)
			return true;
	return false;
}

static void
answer_batch(struct call *call, const struct sqs_result *result,
    const struct http_response *response)
{
	struct sqs_result results[SQS_BATCH_MAX];

	if (result->err == ERR_OK) {
		sqs_read_batch(response->body, response->body_len, call->n,
		    call->md5_known ? call->md5 : NULL, results);
	} else {
		for (size_t i = 0; i < call->n; i++)
			results[i] = *result;
		results[0].sender_fault = call->n == 1 && blames_entry(result);
	}
	call->fn.batch(results, call->n, call->arg);
}

static struct call *
batch_new(
    struct sqs *sqs, const char *target, size_t n, sqs_batch_fn *fn, void *arg)
{
	struct call *call = call_new(sqs, target, answer_batch, arg);

	call->n = n;
	call->fn.batch = fn;
	return call;
}

void
sqs_send_batch(struct sqs *sqs, const struct sqs_text *bodies, size_t n,
    sqs_batch_fn *fn, void *arg)
{
	struct call *call;

	call = batch_new(sqs, "AmazonSQS.SendMessageBatch", n, fn, arg);
	call->md5_known = true;
	for (size_t i = 0; i < n && call->md5_known; i++)
		call->md5_known =
		    md5_hex(bodies[i].data, bodies[i].len, call->md5[i]);
	sqs_write_send_batch(&call->body, sqs->queue_url, bodies, n);
	call_start(call, sqs->timeout_ms);
}

void
sqs_delete_batch(struct sqs *sqs, const char *const *receipt_handles, size_t n,
    sqs_batch_fn *fn, void *arg)
{
	struct call *call;

	call = batch_new(sqs, "AmazonSQS.DeleteMessageBatch", n, fn, arg);
	sqs_write_delete_batch(&call->body, sqs->queue_url, receipt_handles, n);
	call_start(call, sqs->timeout_ms);
}

void
sqs_change_visibility_batch(struct sqs *sqs, const char *const *receipt_handles,
    size_t n, unsigned seconds, sqs_batch_fn *fn, void *arg)
{
	struct call *call;

	call = batch_new(
	    sqs, "AmazonSQS.ChangeMessageVisibilityBatch", n, fn, arg);
	sqs_write_visibility_batch(
	    &call->body, sqs->queue_url, receipt_handles, n, seconds);
	call_start(call, sqs->timeout_ms);
}

/* --- Receiving --- */

static void
result_protocol(struct sqs_result *result)
{
	result->err = ERR_PROTOCOL;
	snprintf(result->message, sizeof(result->message),
	    "the answer is not what the protocol says");
}

static void
answer_receive(struct call *call, const struct sqs_result *outcome,
    const struct http_response *response)
{
	static double last_line;
	struct sqs_result result = *outcome;
	struct sqs_haul haul = {0};

	if (result.err == ERR_OK &&
	    sqs_read_haul(response->body, response->body_len, &haul) != ERR_OK)
		result_protocol(&result);
	if (haul.damaged > 0 && log_rate_ok(&last_line))
		log_warn("sqs: left %zu damaged messages in the queue (wrong "
			 "MD5, or fields missing)",
		    haul.damaged);
	call->fn.receive(&result, haul.messages, haul.n, call->arg);
	sqs_haul_free(&haul);
}

void
sqs_receive(struct sqs *sqs, unsigned max, unsigned wait_seconds,
    unsigned visibility_seconds, sqs_receive_fn *fn, void *arg)
{
	struct call *call;

	call = call_new(sqs, "AmazonSQS.ReceiveMessage", answer_receive, arg);
	call->fn.receive = fn;
	sqs_write_receive(
	    &call->body, sqs->queue_url, max, wait_seconds, visibility_seconds);
	call_start(
	    call, wait_seconds * 1000 + LONG_POLL_SLACK + sqs->timeout_ms);
}

/* --- Queues --- */

static void
answer_attributes(struct call *call, const struct sqs_result *outcome,
    const struct http_response *response)
{
	struct sqs_attributes attributes = {-1, -1, -1, -1, ""};
	struct sqs_result result = *outcome;

	if (result.err == ERR_OK &&
	    sqs_read_attributes(
		response->body, response->body_len, &attributes) != ERR_OK)
		result_protocol(&result);
	call->fn.attributes(&result, &attributes, call->arg);
}

bool
sqs_attributes_are_empty(const struct sqs_attributes *a)
{
	return a->visible == 0 && a->in_flight == 0 && a->delayed <= 0;
}

void
sqs_get_queue_attributes(struct sqs *sqs, sqs_attributes_fn *fn, void *arg)
{
	struct call *call;

	call = call_new(
	    sqs, "AmazonSQS.GetQueueAttributes", answer_attributes, arg);
	call->fn.attributes = fn;
	sqs_write_get_attributes(&call->body, sqs->queue_url);
	call_start(call, sqs->timeout_ms);
}

static void
answer_url(struct call *call, const struct sqs_result *outcome,
    const struct http_response *response)
{
	struct sqs_result result = *outcome;
	char url[SQS_QUEUE_URL_MAX + 1] = "";

	if (result.err == ERR_OK &&
	    sqs_read_url(
		response->body, response->body_len, url, sizeof(url)) != ERR_OK)
		result_protocol(&result);
	call->fn.url(&result, url, call->arg);
}

void
sqs_get_queue_url(struct sqs *sqs, const char *name, sqs_url_fn *fn, void *arg)
{
	struct call *call;

	call = call_new(sqs, "AmazonSQS.GetQueueUrl", answer_url, arg);
	call->fn.url = fn;
	sqs_write_get_url(&call->body, name);
	call_start(call, sqs->timeout_ms);
}

void
sqs_create_queue(struct sqs *sqs, const char *name,
    const char *const *attributes, sqs_url_fn *fn, void *arg)
{
	struct call *call;

	call = call_new(sqs, "AmazonSQS.CreateQueue", answer_url, arg);
	call->fn.url = fn;
	sqs_write_create(&call->body, name, attributes);
	call_start(call, sqs->timeout_ms);
}

/* --- The client --- */

/* Endpoint and region; a profile's region counts when none is set. */
static enum err
find_endpoint(struct sqs *sqs, const struct config *config,
    const char *queue_url, char *why, size_t why_size)
{
	char of_url[SQS_REGION_SIZE];
	struct profile profile;
	enum err err;

	err = profile_load(&profile, config, why, why_size);
	if (err != ERR_OK)
		return err;
	err = sqs_endpoint_choose(
	    &sqs->endpoint, config, profile.region, queue_url, why, why_size);
	if (err != ERR_OK)
		return err;
	sqs_region_of_url(queue_url, of_url);
	if (of_url[0] != '\0' && strcmp(of_url, sqs->endpoint.region) != 0)
		log_warn("sqs: the queue is in %s, but requests are signed for "
			 "%s: check AWS_REGION",
		    of_url, sqs->endpoint.region);
	return ERR_OK;
}

enum err
sqs_new(struct sqs **out, struct ev_loop *loop, const struct config *config,
    const char *queue_url, unsigned connections, char *why, size_t why_size)
{
	struct http_options options = {
	    .max_connections = connections,
	    .ca_bundle = config->aws_ca_bundle,
	    .response_max = RESPONSE_MAX,
	};
	struct sqs *sqs = calloc(1, sizeof(*sqs));
	enum err err = ERR_NOMEM;

	snprintf(why, why_size, "out of memory");
	if (sqs == NULL)
		return err;
	sqs->loop = loop;
	sqs->timeout_ms = config->sqs_timeout_ms;
	sqs->queue_url = strdup(queue_url);
	if (sqs->queue_url == NULL)
		goto fail;
	err = find_endpoint(sqs, config, queue_url, why, why_size);
	if (err != ERR_OK)
		goto fail;
	err = credentials_new(
	    &sqs->provider, loop, config, sqs->endpoint.region, why, why_size);
	if (err != ERR_OK)
		goto fail;
	err = http_new(&sqs->http, loop, &options);
	if (err != ERR_OK)
		goto fail;
	*out = sqs;
	return ERR_OK;
fail:
	sqs_free(sqs);
	return err;
}

void
sqs_free(struct sqs *sqs)
{
	struct call *call, *next;

	if (sqs == NULL)
		return;
	http_free(sqs->http);
	credentials_free(sqs->provider);
	for (call = sqs->calls; call != NULL; call = next) {
		next = call->next;
		ev_timer_stop(sqs->loop, &call->guard);
		call_free(call);
	}
	free(sqs->queue_url);
	free(sqs);
}

enum err
sqs_check(const struct config *config, const char *queue_url, char *why,
    size_t why_size)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct sqs *sqs;
	enum err err;

	if (loop == NULL) {
		snprintf(why, why_size, "cannot make an event loop");
		return ERR_NOMEM;
	}
	err = sqs_new(&sqs, loop, config, queue_url, 1, why, why_size);
	if (err == ERR_OK)
		sqs_free(sqs);
	ev_loop_destroy(loop);
	return err;
}

const char *
sqs_endpoint_url(const struct sqs *sqs)
{
	return sqs->endpoint.url;
}

const char *
sqs_region(const struct sqs *sqs)
{
	return sqs->endpoint.region;
}
