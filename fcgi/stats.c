#include "stats.h"

#include <stdio.h>
#include <string.h>

#include "metrics.h"

#define REQUESTS(code)                                         \
	{                                                      \
		METRIC_COUNTER, "flashsale_requests_total",    \
		    "code=\"" code "\"", "Answers by outcome." \
	}

/* In the order of enum stat_id. */
static const struct metric metrics[STAT_COUNT] = {
    REQUESTS("queued"),
    REQUESTS("reserved"),
    REQUESTS("replayed"),
    REQUESTS("looked"),
    REQUESTS("admin"),
    REQUESTS("sold_out"),
    REQUESTS("limit_reached"),
    REQUESTS("not_open"),
    REQUESTS("closed"),
    REQUESTS("paused"),
    REQUESTS("no_such_sale"),
    REQUESTS("no_such_order"),
    REQUESTS("not_found"),
    REQUESTS("bad_json"),
    REQUESTS("bad_field"),
    REQUESTS("body_too_large"),
    REQUESTS("bad_content_type"),
    REQUESTS("method_not_allowed"),
    REQUESTS("unauthorized"),
    REQUESTS("unavailable"),
    REQUESTS("recovering"),
    REQUESTS("internal"),
    [STAT_UNITS] = {METRIC_COUNTER, "flashsale_units_reserved_total", "",
	"Units taken from stock."},
    [STAT_SENT] = {METRIC_COUNTER, "flashsale_sqs_messages_sent_total", "",
	"Messages that SQS has acknowledged."},
    [STAT_SEND_FAILURES] = {METRIC_COUNTER, "flashsale_sqs_send_failures_total",
	"", "Messages left in the outbox because a send failed."},
    [STAT_CONNECTIONS] = {METRIC_GAUGE, "flashsale_fastcgi_connections", "",
	"Open connections of the web server."},
    [STAT_SENDS_IN_FLIGHT] = {METRIC_GAUGE, "flashsale_sqs_sends_in_flight", "",
	"SendMessageBatch calls under way."},
    [STAT_GATES_SHUT] = {METRIC_GAUGE, "flashsale_gates_shut", "",
	"Sales whose buyers the web server refuses by itself."},
    [STAT_REQUEST_SECONDS] = {METRIC_HISTOGRAM, "flashsale_request_seconds", "",
	"From reading a request to its answer."},
    [STAT_SEND_SECONDS] = {METRIC_HISTOGRAM, "flashsale_sqs_send_seconds", "",
	"SendMessageBatch calls."},
};

void
stats_init(unsigned slots)
{
	metrics_init(metrics, STAT_COUNT, slots);
}

void
stats_outcome(enum stat_id id, char outcome[OUTCOME_SIZE])
{
	snprintf(outcome, OUTCOME_SIZE, "%s",
	    metrics[id].labels + sizeof("code=\"") - 1);
	outcome[strcspn(outcome, "\"")] = '\0';
}
