/*
 * HTTP client: libcurl tells which sockets and which timeout to watch, libev
 * watches them.  Requests beyond max_connections wait in our own line, not
 * in libcurl's, so that one that waited too long is known never to have left.
 * Knows nothing of AWS but the names of two response headers.
 */
#include "http.h"

#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "log.h"

#define CONNECT_TIMEOUT_MS 1100 /* two SYNs: the first may get lost */
#define CONNECTION_AGE_MAX 300L /* seconds; then DNS is asked again */
#define KEEP_BUFFER_MAX 65536	/* larger buffers are not kept for reuse */

enum transfer_state { IN_LINE, RUNNING, FAILED };

/* One exchange; kept for the next one, with its easy handle, when done. */
struct transfer {
	struct http *http;
	struct transfer *next;	    /* in http->all, as long as it exists */
	struct transfer *next_free; /* in http->idle */
	struct transfer *next_in_line;
	enum transfer_state state;
	CURL *easy;
	struct curl_slist *headers;
	ev_timer deadline;    /* while IN_LINE; at once when FAILED */
	double started, ends; /* clock_seconds() */
	http_fn *fn;
	void *arg;

	char *request_body;
	size_t request_size; /* allocated */
	char *body;	     /* of the response */
	size_t body_len, body_size;
	bool too_large, no_memory;
	time_t date;
	char request_id[80], query_error[160];
	char error[CURL_ERROR_SIZE];
};

struct http {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer; /* libcurl's */
	struct http_options options;
	char *ca_bundle;
	struct transfer *all, *idle;
	struct transfer *line, **line_end; /* first come, first served */
	size_t in_flight;		   /* waiting and running */
	size_t running;
	bool dispatching; /* callbacks are being called */
	bool doomed;	  /* freed by one of them */
};

static void http_dispatch(struct http *);
static void on_deadline(struct ev_loop *, ev_timer *, int);

/* --- What libcurl tells us about an answer --- */

static bool
body_reserve(struct transfer *transfer, size_t wanted)
{
	size_t size = transfer->body_size == 0 ? 1024 : transfer->body_size;
	char *grown;

	if (wanted <= transfer->body_size)
		return true;
	while (size < wanted)
		size *= 2;
	grown = realloc(transfer->body, size);
	if (grown == NULL)
		return false;
	transfer->body = grown;
	transfer->body_size = size;
	return true;
}

static size_t
on_body(char *data, size_t one, size_t len, void *arg)
{
	struct transfer *transfer = arg;
	size_t room = transfer->http->options.response_max - transfer->body_len;

	(void)one;
	if (len > room) {
		transfer->too_large = true;
		return 0;
	}
	if (!body_reserve(transfer, transfer->body_len + len + 1)) {
		transfer->no_memory = true;
		return 0;
	}
	memcpy(transfer->body + transfer->body_len, data, len);
	transfer->body_len += len;
	return len;
}

/* Copy the value when the header line has that name. */
static bool
header_take(
    const char *line, size_t len, const char *name, char *out, size_t size)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return false;
	line += n + 1;
	len -= n + 1;
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	snprintf(out, size, "%.*s", (int)(len < size ? len : size - 1), line);
	return true;
}

static size_t
on_header(char *line, size_t one, size_t len, void *arg)
{
	struct transfer *transfer = arg;
	char date[64];

	(void)one;
	if (header_take(line, len, "date", date, sizeof(date))) {
		transfer->date = curl_getdate(date, NULL);
		if (transfer->date < 0)
			transfer->date = 0;
	} else if (!header_take(line, len, "x-amzn-requestid",
		       transfer->request_id, sizeof(transfer->request_id))) {
		header_take(line, len, "x-amzn-query-error",
		    transfer->query_error, sizeof(transfer->query_error));
	}
	return len;
}

/* --- libcurl's sockets and timer on the event loop --- */

static void
on_ready(struct http *http, curl_socket_t fd, int events)
{
	int running;

	curl_multi_socket_action(http->multi, fd, events, &running);
	http_dispatch(http);
}

static void
on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	on_ready(io->data, io->fd,
	    (revents & EV_READ ? CURL_CSELECT_IN : 0) |
		(revents & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	on_ready(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int
watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
	struct http *http = arg;
	ev_io *io = socket;

	(void)easy;
	if (io != NULL)
		ev_io_stop(http->loop, io);
	if (what == CURL_POLL_REMOVE) {
		free(io);
		curl_multi_assign(http->multi, fd, NULL);
		return 0;
	}
	if (io == NULL && (io = malloc(sizeof(*io))) == NULL)
		return -1;
	ev_io_init(io, on_io, fd,
	    (what & CURL_POLL_IN ? EV_READ : 0) |
		(what & CURL_POLL_OUT ? EV_WRITE : 0));
	io->data = http;
	ev_io_start(http->loop, io);
	curl_multi_assign(http->multi, fd, io);
	return 0;
}

static int
set_timer(CURLM *multi, long ms, void *arg)
{
	struct http *http = arg;

	(void)multi;
	ev_timer_stop(http->loop, &http->timer);
	if (ms >= 0) {
		ev_timer_set(&http->timer, (double)ms / 1000.0, 0.0);
		ev_timer_start(http->loop, &http->timer);
	}
	return 0;
}

/* --- One transfer --- */

/* What never changes between the requests of a handle. */
static void
easy_set_up(struct transfer *transfer)
{
	const struct http_options *options = &transfer->http->options;
	CURL *easy = transfer->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(
	    easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXLIFETIME_CONN, CONNECTION_AGE_MAX);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "flashsale");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	if (transfer->http->ca_bundle != NULL)
		curl_easy_setopt(
		    easy, CURLOPT_CAINFO, transfer->http->ca_bundle);
	if (options->no_proxy)
		curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
}

/*
 * An idle one, or a new one.  A process that cannot have these few bytes
 * cannot do anything sensible: it ends and is started anew.
 */
static struct transfer *
transfer_take(struct http *http)
{
	struct transfer *transfer = http->idle;

	if (transfer != NULL) {
		http->idle = transfer->next_free;
		return transfer;
	}
	transfer = calloc(1, sizeof(*transfer));
	if (transfer == NULL || (transfer->easy = curl_easy_init()) == NULL)
		abort();
	transfer->http = http;
	easy_set_up(transfer);
	ev_timer_init(&transfer->deadline, on_deadline, 0.0, 0.0);
	transfer->deadline.data = transfer;
	transfer->next = http->all;
	http->all = transfer;
	return transfer;
}

static void
transfer_give_back(struct transfer *transfer)
{
	struct http *http = transfer->http;

	curl_slist_free_all(transfer->headers);
	transfer->headers = NULL;
	if (transfer->body_size > KEEP_BUFFER_MAX) {
		free(transfer->body);
		transfer->body = NULL;
		transfer->body_size = 0;
	}
	if (transfer->request_size > KEEP_BUFFER_MAX) {
		free(transfer->request_body);
		transfer->request_body = NULL;
		transfer->request_size = 0;
	}
	transfer->next_free = http->idle;
	http->idle = transfer;
}

static void
transfer_free(struct transfer *transfer)
{
	ev_timer_stop(transfer->http->loop, &transfer->deadline);
	curl_multi_remove_handle(transfer->http->multi, transfer->easy);
	curl_easy_cleanup(transfer->easy);
	curl_slist_free_all(transfer->headers);
	free(transfer->request_body);
	free(transfer->body);
	free(transfer);
}

/* Hand the outcome to whoever asked; only in a dispatch. */
static void
transfer_finish(struct transfer *transfer, enum err err, const char *why)
{
	struct http_response response = {.err = err, .why = why};
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	if (err == ERR_OK)
		response.status = (int)status;
	if (transfer->body != NULL)
		transfer->body[transfer->body_len] = '\0';
	response.body = transfer->body == NULL ? "" : transfer->body;
	response.body_len = transfer->body_len;
	response.date = transfer->date;
	response.request_id = transfer->request_id;
	response.query_error = transfer->query_error;
	response.seconds = clock_seconds() - transfer->started;

	transfer->http->in_flight--;
	transfer->fn(&response, transfer->arg);
	transfer_give_back(transfer);
}

/* The callback must not come before http_send has returned. */
static void
transfer_fail_soon(struct transfer *transfer, const char *why)
{
	transfer->state = FAILED;
	snprintf(transfer->error, sizeof(transfer->error), "%s", why);
	ev_timer_set(&transfer->deadline, 0.0, 0.0);
	ev_timer_start(transfer->http->loop, &transfer->deadline);
}

static void
transfer_start(struct transfer *transfer)
{
	struct http *http = transfer->http;
	long ms = (long)((transfer->ends - clock_seconds()) * 1000.0);

	ev_timer_stop(http->loop, &transfer->deadline);
	curl_easy_setopt(transfer->easy, CURLOPT_TIMEOUT_MS, ms > 0 ? ms : 1L);
	if (curl_multi_add_handle(http->multi, transfer->easy) != CURLM_OK) {
		transfer_fail_soon(transfer, "out of memory");
		return;
	}
	transfer->state = RUNNING;
	http->running++;
}

/* --- The line --- */

static void
line_append(struct http *http, struct transfer *transfer)
{
	transfer->state = IN_LINE;
	transfer->next_in_line = NULL;
	*http->line_end = transfer;
	http->line_end = &transfer->next_in_line;
}

static void
line_remove(struct http *http, struct transfer *transfer)
{
	struct transfer **link = &http->line;

	while (*link != transfer)
		link = &(*link)->next_in_line;
	*link = transfer->next_in_line;
	if (*link == NULL)
		http->line_end = link;
}

static void
line_advance(struct http *http)
{
	struct transfer *transfer;

	while (http->line != NULL &&
	       http->running < http->options.max_connections) {
		transfer = http->line;
		line_remove(http, transfer);
		transfer_start(transfer);
	}
}

/* --- Dispatching what is done --- */

/*
 * May the peer have seen it?  Not when libcurl never wrote a byte of it.
 * Connecting, resolving and the TLS handshake all end before that.
 */
static enum err
outcome(const struct transfer *transfer, CURLcode code)
{
	long sent = 0;

	if (code == CURLE_OK)
		return ERR_OK;
	curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (sent == 0)
		return ERR_UNAVAILABLE;
	if (transfer->too_large || code == CURLE_WEIRD_SERVER_REPLY ||
	    code == CURLE_UNSUPPORTED_PROTOCOL)
		return ERR_PROTOCOL;
	return transfer->no_memory ? ERR_NOMEM : ERR_TIMEOUT;
}

static void
transfer_done(struct transfer *transfer, CURLcode code)
{
	struct http *http = transfer->http;
	enum err err = outcome(transfer, code);
	const char *why = NULL;

	curl_multi_remove_handle(http->multi, transfer->easy);
	http->running--;
	if (transfer->too_large)
		why = "the answer is too large";
	else if (err != ERR_OK)
		why = transfer->error[0] != '\0' ? transfer->error
						 : curl_easy_strerror(code);
	transfer_finish(transfer, err, why);
}

static void
http_destroy(struct http *http)
{
	struct transfer *transfer;

	while ((transfer = http->all) != NULL) {
		http->all = transfer->next;
		transfer_free(transfer);
	}
	curl_multi_cleanup(http->multi);
	ev_timer_stop(http->loop, &http->timer);
	free(http->ca_bundle);
	free(http);
	curl_global_cleanup();
}

static void
dispatch_end(struct http *http)
{
	http->dispatching = false;
	if (http->doomed)
		http_destroy(http);
	else
		line_advance(http);
}

static void
http_dispatch(struct http *http)
{
	struct transfer *transfer;
	CURLMsg *message;
	int left;

	http->dispatching = true;
	while (!http->doomed &&
	       (message = curl_multi_info_read(http->multi, &left)) != NULL) {
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(
		    message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer_done(transfer, code);
	}
	dispatch_end(http);
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct transfer *transfer = timer->data;
	struct http *http = transfer->http;

	(void)loop;
	(void)revents;
	http->dispatching = true;
	if (transfer->state == IN_LINE) {
		line_remove(http, transfer);
		transfer_finish(transfer, ERR_UNAVAILABLE,
		    "no connection became free in time");
	} else {
		transfer_finish(transfer, ERR_UNAVAILABLE, transfer->error);
	}
	dispatch_end(http);
}

/* --- The interface --- */

enum err
http_new(
    struct http **out, struct ev_loop *loop, const struct http_options *options)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		return ERR_NOMEM;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(http);
		return ERR_NOMEM;
	}
	http->loop = loop;
	http->options = *options;
	http->options.ca_bundle = NULL; /* ours is a copy */
	http->line_end = &http->line;
	ev_timer_init(&http->timer, on_timer, 0.0, 0.0);
	http->timer.data = http;
	if (options->ca_bundle != NULL && options->ca_bundle[0] != '\0')
		http->ca_bundle = strdup(options->ca_bundle);
	http->multi = curl_multi_init();
	if (http->multi == NULL) {
		free(http->ca_bundle);
		free(http);
		curl_global_cleanup();
		return ERR_NOMEM;
	}
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(
	    http->multi, CURLMOPT_MAXCONNECTS, (long)options->max_connections);
	*out = http;
	return ERR_OK;
}

void
http_free(struct http *http)
{
	if (http == NULL)
		return;
	if (http->dispatching)
		http->doomed = true;
	else
		http_destroy(http);
}

static bool
copy_headers(struct transfer *transfer, const char *const *headers)
{
	struct curl_slist *list, *grown;

	/* Without it libcurl asks for "100 Continue" before large bodies. */
	list = curl_slist_append(NULL, "Expect:");
	for (; list != NULL && headers != NULL && *headers != NULL; headers++) {
		grown = curl_slist_append(list, *headers);
		if (grown == NULL)
			curl_slist_free_all(list);
		list = grown;
	}
	transfer->headers = list;
	return list != NULL;
}

static bool
copy_body(struct transfer *transfer, const char *body, size_t len)
{
	if (len > transfer->request_size) {
		free(transfer->request_body);
		transfer->request_size = 0;
		transfer->request_body = malloc(len);
		if (transfer->request_body == NULL)
			return false;
		transfer->request_size = len;
	}
	if (len > 0)
		memcpy(transfer->request_body, body, len);
	return true;
}

static void
easy_set_request(struct transfer *transfer, const struct http_request *request)
{
	CURL *easy = transfer->easy;
	bool post = strcmp(request->method, "POST") == 0;

	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
	    request->connect_timeout_ms == 0
		? (long)CONNECT_TIMEOUT_MS
		: (long)request->connect_timeout_ms);
	if (strcmp(request->method, "GET") == 0) {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
		return;
	}
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
	    request->body_len == 0 ? "" : transfer->request_body);
	curl_easy_setopt(
	    easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	curl_easy_setopt(
	    easy, CURLOPT_CUSTOMREQUEST, post ? NULL : request->method);
}

static void
transfer_reset(struct transfer *transfer)
{
	transfer->body_len = 0;
	transfer->too_large = transfer->no_memory = false;
	transfer->date = 0;
	transfer->request_id[0] = transfer->query_error[0] = '\0';
	transfer->error[0] = '\0';
}

void
http_send(struct http *http, const struct http_request *request, http_fn *fn,
    void *arg)
{
	struct transfer *transfer = transfer_take(http);

	transfer_reset(transfer);
	transfer->fn = fn;
	transfer->arg = arg;
	transfer->started = clock_seconds();
	transfer->ends = transfer->started + request->timeout_ms / 1000.0;
	http->in_flight++;
	/* The loop's idea of now may be old, and timers count from it. */
	ev_now_update(http->loop);
	if (!copy_headers(transfer, request->headers) ||
	    !copy_body(transfer, request->body, request->body_len)) {
		transfer_fail_soon(transfer, "out of memory");
		return;
	}
	easy_set_request(transfer, request);
	ev_timer_set(&transfer->deadline, request->timeout_ms / 1000.0, 0.0);
	ev_timer_start(http->loop, &transfer->deadline);
	line_append(http, transfer);
	if (!http->dispatching)
		line_advance(http);
}

size_t
http_in_flight(const struct http *http)
{
	return http->in_flight;
}
