/*
 * Problems as JSON.  Written by hand, not by a JSON library: nearly every
 * answer of a flash sale is one of these, and all the texts that go in are
 * our own or SKUs, which need no escaping.
 */
#include "problem.h"

#include "clock.h"
#include "metrics.h"
#include "stats.h"
#include "text.h"

/* What never changes of a body is one literal. */
#define PROBLEM(status, code, title, detail)                         \
	{                                                            \
		status,                                              \
		    "{\"type\":\"urn:flashsale:problem:" code        \
		    "\",\"title\":\"" title "\",\"status\":" #status \
		    ",\"code\":\"" code "\"",                        \
		    detail                                           \
	}

static const struct {
	int status;
	const char *start; /* of the body */
	const char *detail;
} problems[PROBLEM_COUNT] = {
    [PROBLEM_SOLD_OUT] = PROBLEM(409, "sold_out", "Sold out",
	"Fewer units are left than were asked for."),
    [PROBLEM_LIMIT_REACHED] = PROBLEM(409, "limit_reached", "Limit reached",
	"This buyer may not hold more units of this sale."),
    [PROBLEM_NOT_OPEN] =
	PROBLEM(409, "not_open", "Not open yet", "The sale has not begun."),
    [PROBLEM_CLOSED] = PROBLEM(409, "closed", "Closed", "The sale is over."),
    [PROBLEM_PAUSED] = PROBLEM(
	409, "paused", "Paused", "The sale is paused; try again later."),
    [PROBLEM_NO_SUCH_SALE] = PROBLEM(
	404, "no_such_sale", "No such sale", "There is no sale of this SKU."),
    [PROBLEM_NO_SUCH_ORDER] = PROBLEM(404, "no_such_order", "No such order",
	"There is no such order in this sale."),
    [PROBLEM_NOT_FOUND] = PROBLEM(
	404, "not_found", "Not found", "There is nothing at this path."),
    [PROBLEM_BAD_JSON] = PROBLEM(
	400, "bad_json", "Malformed JSON", "The body must be one JSON object."),
    [PROBLEM_BAD_FIELD] = PROBLEM(
	422, "bad_field", "Invalid field", "A field is missing or invalid."),
    [PROBLEM_BODY_TOO_LARGE] = PROBLEM(413, "body_too_large", "Body too large",
	"The body may have at most 4096 bytes."),
    [PROBLEM_BAD_CONTENT_TYPE] =
	PROBLEM(415, "bad_content_type", "Unsupported content type",
	    "The body must be sent as application/json."),
    [PROBLEM_METHOD_NOT_ALLOWED] = PROBLEM(405, "method_not_allowed",
	"Method not allowed", "See the Allow header."),
    [PROBLEM_UNAUTHORIZED] = PROBLEM(
	401, "unauthorized", "Unauthorized", "This needs the admin token."),
    [PROBLEM_UNAVAILABLE] = PROBLEM(503, "unavailable", "Unavailable",
	"Not answered just now: try again. A purchase that is repeated with "
	"the same Idempotency-Key is made only once."),
    [PROBLEM_RECOVERING] = PROBLEM(503, "recovering", "Recovering",
	"The sale is being restored: try again in a few seconds."),
    [PROBLEM_INTERNAL] = PROBLEM(
	500, "internal", "Internal error", "Something went wrong here."),
};

_Static_assert(STAT_PROBLEM_LAST - STAT_PROBLEM_FIRST + 1 == PROBLEM_COUNT,
    "every problem has its counter");

size_t
problem_compose(char *body, size_t size, enum problem problem,
    const struct problem_detail *d)
{
	struct text t;

	text_begin(&t, body, size);
	text_add(&t, problems[problem].start);
	text_add_member(&t, "detail",
	    d->detail != NULL ? d->detail : problems[problem].detail);
	if (d->sku != NULL)
		text_add_member(&t, "sku", d->sku);
	if (d->field != NULL)
		text_add_member(&t, "field", d->field);
	if (problem == PROBLEM_SOLD_OUT)
		text_add_number_member(&t, "remaining", d->remaining);
	else if (problem == PROBLEM_LIMIT_REACHED)
		text_add_number_member(&t, "limit", d->limit);
	else if (problem == PROBLEM_NOT_OPEN)
		text_add_number_member(&t, "opensAt", d->opens_at);
	if (d->members != NULL)
		text_add(&t, d->members);
	text_add(&t, "}\n");
	return text_len(&t);
}

void
problem_reply(
    struct exchange *x, enum problem problem, const struct problem_detail *d)
{
	static const struct problem_detail nothing;
	char body[PROBLEM_MAX], headers[512];
	int status = problems[problem].status;
	struct text t;
	size_t n;

	if (d == NULL)
		d = &nothing;
	n = problem_compose(body, sizeof(body), problem, d);
	text_begin(&t, headers, sizeof(headers));
	text_add(&t, "Cache-Control: no-store\r\n");
	if (status == 503)
		text_add(&t, "Retry-After: 1\r\n");
	if (d->headers != NULL)
		text_add(&t, d->headers);
	metrics_add(STAT_PROBLEM_FIRST + problem, 1);
	metrics_observe(STAT_REQUEST_SECONDS, clock_seconds() - x->started);
	fastcgi_reply(x, status, "application/problem+json", headers, body, n);
}

void
problem_reply_failure(struct exchange *x, enum err err, enum problem absence)
{
	problem_reply(x,
	    err == ERR_NOT_FOUND    ? absence
	    : err == ERR_RECOVERING ? PROBLEM_RECOVERING
				    : PROBLEM_UNAVAILABLE,
	    NULL);
}
