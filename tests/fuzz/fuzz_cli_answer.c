/*
 * Answers of a web server, as the CLI reads them: in whichever pieces they
 * come, the outcome is the same.
 */
#include "fuzz.h"

#include "../../cli/answer.h"

struct outcome {
	enum answer_step step;
	size_t used;
};

static struct outcome
feed_at_once(struct answer *a, const uint8_t *data, size_t len)
{
	struct outcome o;
	char *copy = fuzz_bytes(data, len);

	answer_start(a);
	o.step = answer_feed(a, copy, len, &o.used);
	MUST(o.used <= len);
	free(copy);
	return o;
}

/* In pieces of 1 to 16 bytes. */
static struct outcome
feed_in_pieces(struct answer *a, const uint8_t *data, size_t len, unsigned seed)
{
	struct outcome o = {ANSWER_MORE, 0};
	size_t n, used;
	char *copy;

	answer_start(a);
	while (o.step == ANSWER_MORE && o.used < len) {
		seed = seed * 1103515245 + 12345;
		n = 1 + (seed >> 16) % 16;
		n = n < len - o.used ? n : len - o.used;
		copy = fuzz_bytes(data + o.used, n);
		o.step = answer_feed(a, copy, n, &used);
		free(copy);
		MUST(used <= n);
		MUST(used == n || o.step != ANSWER_MORE);
		o.used += used;
	}
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct answer whole, pieces;
	struct outcome one, many;

	if (size < 1)
		return 0;
	one = feed_at_once(&whole, data + 1, size - 1);
	many = feed_in_pieces(&pieces, data + 1, size - 1, data[0]);
	MUST(one.step == many.step);
	if (one.step == ANSWER_BAD) /* where it is noticed may differ */
		return 0;
	MUST(one.used == many.used);
	MUST(whole.state == pieces.state);
	MUST(whole.status == pieces.status);
	MUST(whole.keep_alive == pieces.keep_alive);
	MUST(whole.body_total == pieces.body_total);
	MUST(whole.body_len == pieces.body_len);
	MUST(whole.body_len <= sizeof(whole.body));
	MUST(memcmp(whole.body, pieces.body, whole.body_len) == 0);
	if (one.step == ANSWER_DONE) {
		MUST(whole.status >= 200 && whole.status <= 999);
		MUST(whole.body_len <= whole.body_total);
		MUST(whole.chunked || whole.length <= 0 ||
		     whole.status == 204 || whole.status == 304 ||
		     whole.body_total == (uint64_t)whole.length);
	} else
		MUST(one.used == size - 1);
	return 0;
}
