/* flashsale attack: many buyers at once, and what became of them. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <jansson.h>

#include "exit_codes.h"
#include "log.h"
#include "message.h"

#include "command.h"
#include "paint.h"
#include "rush.h"
#include "tally.h"
#include "target.h"

#define SPARE_FILES 32 /* descriptors that are no buyer's connection */

struct attack {
	struct rush_plan plan;
	struct rush_result result;
	struct target target;
	struct tally tally;
	const char *url;
	bool json;
};

static const struct {
	const char *name;
	double share;
} percentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
#define N_PERCENTILES (sizeof(percentiles) / sizeof(*percentiles))

/* --- The command line --- */

static const struct option options[] = {
    {"requests", required_argument, NULL, 'n'},
    {"connections", required_argument, NULL, 'c'},
    {"sku", required_argument, NULL, 's'},
    {"url", required_argument, NULL, 'u'},
    {"quantity", required_argument, NULL, 'q'},
    {"users", required_argument, NULL, 'U'},
    {"rate", required_argument, NULL, 'r'},
    {"timeout", required_argument, NULL, 't'},
    {"keys", no_argument, NULL, 'k'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static uint32_t
number(const char *option, int64_t max)
{
	return (uint32_t)command_number(
	    &command_attack, option, optarg, 1, max);
}

static void
take_option(struct attack *a, int option)
{
	struct rush_plan *plan = &a->plan;

	switch (option) {
	case 'n':
		plan->requests = number("--requests", TALLY_REQUESTS_MAX);
		break;
	case 'c':
		plan->connections = number("--connections", 1000000);
		break;
	case 's':
		plan->sku = optarg;
		break;
	case 'u':
		a->url = optarg;
		break;
	case 'q':
		plan->quantity = number("--quantity", QUANTITY_MAX);
		break;
	case 'U':
		plan->users = number("--users", TALLY_REQUESTS_MAX);
		break;
	case 'r':
		plan->rate = number("--rate", 1000000);
		break;
	case 't':
		plan->timeout_s = number("--timeout", 3600);
		break;
	case 'k':
		plan->keys = true;
		break;
	case 'j':
		a->json = true;
		break;
	case 'h':
		command_help(&command_attack);
	default:
		command_hint(&command_attack);
	}
}

static void
read_arguments(
    struct attack *a, const struct config *config, int argc, char **argv)
{
	struct rush_plan *plan = &a->plan;
	char why[400];
	int option;

	*plan = (struct rush_plan){.target = &a->target,
	    .sku = config->default_sku,
	    .requests = 1000,
	    .connections = 200,
	    .quantity = 1,
	    .timeout_s = 30};
	a->url = config->base_url;
	while ((option = getopt_long(argc, argv, "n:c:h", options, NULL)) != -1)
		take_option(a, option);
	if (optind < argc)
		command_misused(
		    &command_attack, "what is \"%s\"?", argv[optind]);
	if (!sku_is_valid(plan->sku, strlen(plan->sku)))
		command_misused(
		    &command_attack, "\"%s\" cannot be a SKU", plan->sku);
	if (target_parse(a->url, &a->target, why, sizeof(why)) != ERR_OK)
		command_misused(&command_attack, "%s", why);
	if (plan->connections > plan->requests)
		plan->connections = plan->requests;
	if (plan->users == 0 || plan->users > plan->requests)
		plan->users = plan->requests;
}

/* A descriptor a connection: raise the limit as far as it is needed. */
static void
raise_file_limit(uint32_t connections)
{
	rlim_t needed = (rlim_t)connections + SPARE_FILES;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed; /* root may */
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		fatal(EXIT_OSERR,
		    "%u connections need %ju open files, which this user may "
		    "not have: ask for fewer (-c), or raise the limit "
		    "(ulimit -Hn)",
		    connections, (uintmax_t)needed);
}

/* --- The report --- */

static enum colour
kind_colour(enum outcome_kind kind)
{
	return kind == OUTCOME_ACCEPTED	 ? GOOD
	       : kind == OUTCOME_REFUSED ? PLAIN
					 : BAD;
}

static void
print_outcomes(const struct attack *a)
{
	static const struct column columns[] = {{"status", true},
	    {"code", false}, {"count", true}, {"share", true},
	    {"result", false}};
	const struct tally *tally = &a->tally;
	struct table table;
	size_t i;

	table_init(&table, columns, sizeof(columns) / sizeof(*columns));
	for (i = 0; i < tally->n; i++) {
		const struct outcome *o = &tally->outcomes[i];
		enum colour colour = kind_colour(o->kind);

		if (o->status == 0)
			table_put(&table, colour, "-");
		else
			table_put(&table, colour, "%d", o->status);
		table_put(&table, colour, "%s", o->code);
		table_put(&table, colour, "%" PRIu64, o->count);
		table_put(&table, PLAIN, "%.1f %%",
		    100.0 * (double)o->count / a->result.finished);
		table_put(&table, colour, "%s", outcome_kind_name(o->kind));
	}
	table_finish(&table, stdout);
}

static double
requests_per_second(const struct attack *a)
{
	const struct rush_result *r = &a->result;

	return r->seconds > 0 ? r->finished / r->seconds : 0;
}

static void
print_latencies(const struct tally *tally)
{
	size_t i;

	printf("latency in ms:");
	for (i = 0; i < N_PERCENTILES; i++)
		printf("  %s %.1f", percentiles[i].name,
		    tally_percentile(tally, percentiles[i].share) / 1000.0);
	printf("\n");
}

static void
print_report(const struct attack *a)
{
	const struct tally *tally = &a->tally;
	uint64_t failed = tally_count(tally, OUTCOME_FAILED);

	print_outcomes(a);
	printf("\n%u requests over %u connections in %.2f s, %.0f/s: ",
	    a->result.finished, a->plan.connections, a->result.seconds,
	    requests_per_second(a));
	paint(stdout, GOOD, "%" PRIu64 " accepted",
	    tally_count(tally, OUTCOME_ACCEPTED));
	printf(", %" PRIu64 " refused, ", tally_count(tally, OUTCOME_REFUSED));
	paint(stdout, failed > 0 ? BAD : PLAIN, "%" PRIu64 " failed", failed);
	printf("\n");
	if (tally->answers > 0)
		print_latencies(tally);
	if (a->result.interrupted)
		paint(stdout, CAUTION,
		    "interrupted: %u requests were not finished\n",
		    a->plan.requests - a->result.finished);
}

static json_t *
outcomes_to_json(const struct tally *tally)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < tally->n; i++) {
		const struct outcome *o = &tally->outcomes[i];

		json_array_append_new(
		    list, json_pack("{s:i, s:s, s:I, s:s}", "status", o->status,
			      "code", o->code, "count", (json_int_t)o->count,
			      "kind", outcome_kind_name(o->kind)));
	}
	return list;
}

static void
print_json(const struct attack *a)
{
	const struct tally *tally = &a->tally;
	json_t *latency = json_object(), *report;
	size_t i;

	for (i = 0; i < N_PERCENTILES; i++)
		json_object_set_new(latency, percentiles[i].name,
		    json_real(tally_percentile(tally, percentiles[i].share) /
			      1000.0));
	report = json_pack(
	    "{s:s, s:s, s:i, s:i, s:i, s:b, s:f, s:f, s:I, s:I, s:I, s:o, "
	    "s:o}",
	    "url", a->url, "sku", a->plan.sku, "requests",
	    (int)a->plan.requests, "finished", (int)a->result.finished,
	    "connections", (int)a->plan.connections, "interrupted",
	    a->result.interrupted, "seconds", a->result.seconds, "perSecond",
	    requests_per_second(a), "accepted",
	    (json_int_t)tally_count(tally, OUTCOME_ACCEPTED), "refused",
	    (json_int_t)tally_count(tally, OUTCOME_REFUSED), "failed",
	    (json_int_t)tally_count(tally, OUTCOME_FAILED), "outcomes",
	    outcomes_to_json(tally), "latencyMs", latency);
	json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	printf("\n");
	json_decref(report);
}

static int
run_attack(const struct config *config, int argc, char **argv)
{
	struct attack a = {.json = false};
	char why[512];
	int code;

	read_arguments(&a, config, argc, argv);
	raise_file_limit(a.plan.connections);
	if (target_resolve(&a.target, why, sizeof(why)) != ERR_OK)
		fatal(EXIT_UNAVAIL, "cannot connect to %s: %s", a.url, why);
	if (tally_init(&a.tally, a.plan.requests) != ERR_OK ||
	    rush_run(&a.plan, &a.tally, &a.result) != ERR_OK)
		fatal(EXIT_OSERR, "out of memory: ask for fewer requests");
	tally_sort(&a.tally);
	if (a.json)
		print_json(&a);
	else
		print_report(&a);
	code = a.result.interrupted || tally_count(&a.tally, OUTCOME_FAILED) > 0
		   ? EXIT_FAILED
		   : EXIT_FINE;
	tally_free(&a.tally);
	return code;
}

const struct command command_attack = {
    "attack",
    "[-n REQUESTS] [-c CONNECTIONS] [OPTION...]",
    "Send many buyers at once and tell what became of them",
    "  -n, --requests=N   purchases to try (1000)\n"
    "  -c, --connections=N\n"
    "                     buyers at the same time, each on its own kept\n"
    "                     connection; all begin at the same moment (200)\n"
    "  --sku=SKU          what they want (DEFAULT_SKU)\n"
    "  --url=URL          the web server, http:// only (BASE_URL)\n"
    "  --rate=N           an open loop: so many requests a second, whatever\n"
    "                     the answers; latencies from when each was due\n"
    "  --quantity=N       units each of them wants (1)\n"
    "  --users=N          different users (as many as requests); they are\n"
    "                     new ones in every run\n"
    "  --keys             send an Idempotency-Key with every purchase\n"
    "  --timeout=SECONDS  for one answer (30)\n"
    "  --json             report as JSON\n",
    NULL,
    run_attack,
};
