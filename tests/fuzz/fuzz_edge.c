/*
 * FastCGI connections: up to four peers write, leave and are answered in any
 * order.  Each gets what its own bytes deserve, whatever the others do: a
 * request reaches the handler as record_read_request() has it, nonsense costs
 * its connection, and every answer comes whole, to the one who asked.
 */
#include "edge.h"

#define PEERS 4

enum { SEND, CLOSE, ANSWER, HOLD, ACTS };

struct peer {
	int fd;			       /* -1: not connected */
	bool left;		       /* but is still to be answered */
	struct exchange *asked;	       /* waits for its answer */
	struct record_request request; /* what it has asked */
	uint8_t sent[REQUEST_MAX];     /* and was not read as a request yet */
	size_t sent_len;
};

static struct peer peers[PEERS];
static bool hold; /* do not answer at once */

/* The request that the next turn of the loop has to lead to, or NULL. */
static struct peer *expected;

static void
answer(struct exchange *x, const struct record_request *r)
{
	fastcgi_reply(x, 200, "text/plain", "", r->body, r->body_len);
}

static void
on_request(struct exchange *x)
{
	struct peer *peer = expected;
	const struct record_request *r;

	MUST(peer != NULL);
	expected = NULL;
	r = &peer->request;
	MUST(strcmp(x->method, r->method) == 0);
	MUST(strcmp(x->path, r->path) == 0);
	MUST(strcmp(x->content_type, r->content_type) == 0);
	MUST(strcmp(x->authorization, r->authorization) == 0);
	MUST(strcmp(x->idempotency_key, r->idempotency_key) == 0);
	MUST(x->body_len == r->body_len);
	MUST(memcmp(x->body, r->body, r->body_len) == 0);
	MUST(x->body_too_large == r->body_too_large);
	peer->asked = x;
	if (!hold)
		answer(x, r);
}

static void
forget(struct peer *peer)
{
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	peer->asked = NULL;
	peer->left = false;
	peer->sent_len = 0;
}

static void
must_be_closed(struct peer *peer)
{
	uint8_t byte;
	bool at_end;

	MUST(receive(peer->fd, &byte, 1, &at_end) == 0 && at_end);
	forget(peer);
}

/* The answer has come whole, and the connection is kept or not as asked. */
static void
check_answer(struct peer *peer)
{
	static uint8_t raw[16 * 1024];
	static char text[16 * 1024];
	const struct record_request *r = &peer->request;
	size_t len, body_len = strcmp(r->method, "HEAD") == 0 ? 0 : r->body_len;
	bool at_end;

	peer->asked = NULL;
	if (peer->left) {
		forget(peer);
		return;
	}
	len = receive(peer->fd, raw, sizeof(raw), &at_end);
	MUST(read_reply(raw, len, r->id, text, sizeof(text), &len));
	MUST(strncmp(text, "Status: 200 OK\r\n", 16) == 0);
	MUST(len >= body_len);
	MUST(memcmp(text + len - body_len, r->body, body_len) == 0);
	MUST(at_end == !r->keep);
	if (at_end)
		forget(peer);
}

/* What the peer has sent is read now: what has to become of it? */
static void
check_reading(struct peer *peer)
{
	enum record_result result;

	if (peer->sent_len == 0)
		return;
	result =
	    record_read_request(peer->sent, peer->sent_len, &peer->request);
	if (result == RECORD_WHOLE) {
		peer->sent_len = 0;
		expected = peer;
	}
	settle();
	MUST(expected == NULL);
	if (result == RECORD_BAD)
		must_be_closed(peer);
	if (result == RECORD_WHOLE && !hold)
		check_answer(peer);
}

/* --- What peers do --- */

static void
act_send(struct peer *peer, const uint8_t *data, size_t len)
{
	if (peer->left || len > sizeof(peer->sent) - peer->sent_len)
		return;
	if (peer->fd < 0)
		peer->fd = connect_to_edge();
	if (len == 0)
		return;
	MUST(send(peer->fd, data, len, MSG_DONTWAIT) == (ssize_t)len);
	memcpy(peer->sent + peer->sent_len, data, len);
	peer->sent_len += len;
	if (peer->asked != NULL)
		settle(); /* it has to wait until that is answered */
	else
		check_reading(peer);
}

static void
act_close(struct peer *peer)
{
	if (peer->fd < 0)
		return;
	close(peer->fd);
	peer->fd = -1;
	peer->left = peer->asked != NULL;
	if (!peer->left)
		forget(peer);
	settle();
}

static void
act_answer(struct peer *peer)
{
	if (peer->asked == NULL)
		return;
	answer(peer->asked, &peer->request);
	check_answer(peer);
	if (peer->fd >= 0)
		check_reading(peer);
}

static unsigned
connections(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < PEERS; i++)
		n += peers[i].fd >= 0 || peers[i].left;
	return n;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	loop = ev_loop_new(EVFLAG_AUTO);
	start_edge(on_request, NULL);
	for (size_t i = 0; i < PEERS; i++)
		peers[i].fd = -1;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;

	hold = false;
	while (data < end) {
		struct peer *peer = &peers[*data % PEERS];
		unsigned act = *data++ / PEERS % ACTS;
		size_t len;

		if (act == SEND && end - data >= 2) {
			len = (size_t)data[0] << 8 | data[1];
			data += 2;
			if (len > (size_t)(end - data))
				len = (size_t)(end - data);
			act_send(peer, data, len);
			data += len;
		} else if (act == CLOSE)
			act_close(peer);
		else if (act == ANSWER)
			act_answer(peer);
		else if (act == HOLD)
			hold = !hold;
		settle();
		MUST(fastcgi_connections(edge) == connections());
	}
	hold = false;
	for (size_t i = 0; i < PEERS; i++) {
		act_answer(&peers[i]);
		act_close(&peers[i]);
	}
	MUST(fastcgi_connections(edge) == 0);
	return 0;
}
