/* Counters of several processes, and the text that Prometheus reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "metrics.h"

enum { HITS_A, HITS_B, OPEN, SECONDS, COUNT };

static const struct metric defs[COUNT] = {
    {METRIC_COUNTER, "hits_total", "code=\"a\"", "Hits."},
    {METRIC_COUNTER, "hits_total", "code=\"b\"", "Hits."},
    {METRIC_GAUGE, "open", "", "Open things."},
    {METRIC_HISTOGRAM, "work_seconds", "", "Work."},
};

static void
test_processes_add_up(void **state)
{
	(void)state;
	metrics_init(defs, COUNT, 3);
	for (unsigned slot = 0; slot < 3; slot++) {
		pid_t pid = fork();

		if (pid == 0) {
			metrics_use_slot(slot);
			for (int i = 0; i < 1000; i++)
				metrics_add(HITS_A, 1);
			metrics_set(OPEN, 5);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	assert_int_equal(metrics_sum(HITS_A), 3000);
	assert_int_equal(metrics_sum(HITS_B), 0);
	assert_int_equal(metrics_sum(OPEN), 15);

	/* Its successor has nothing open, but goes on counting. */
	metrics_use_slot(1);
	metrics_add(HITS_A, 1);
	assert_int_equal(metrics_sum(OPEN), 10);
	assert_int_equal(metrics_sum(HITS_A), 3001);
}

static void
test_prometheus_text(void **state)
{
	static const char expected[] = "# HELP hits_total Hits.\n"
				       "# TYPE hits_total counter\n"
				       "hits_total{code=\"a\"} 0\n"
				       "hits_total{code=\"b\"} 2\n"
				       "# HELP open Open things.\n"
				       "# TYPE open gauge\n"
				       "open 0\n"
				       "# HELP work_seconds Work.\n"
				       "# TYPE work_seconds histogram\n"
				       "work_seconds_bucket{le=\"0.0005\"} 1\n"
				       "work_seconds_bucket{le=\"0.001\"} 1\n"
				       "work_seconds_bucket{le=\"0.002\"} 2\n";
	char page[4096];
	size_t len;

	(void)state;
	metrics_init(defs, COUNT, 1);
	metrics_add(HITS_B, 2);
	metrics_observe(SECONDS, 0.0001);
	metrics_observe(SECONDS, 0.0015);
	metrics_observe(SECONDS, 99);
	assert_int_equal(metrics_render(page, sizeof(page), &len), ERR_OK);
	assert_int_equal(strlen(page), len);
	assert_memory_equal(page, expected, sizeof(expected) - 1);
	assert_non_null(strstr(page, "work_seconds_bucket{le=\"5\"} 2\n"));
	assert_non_null(strstr(page, "work_seconds_bucket{le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(page, "work_seconds_sum 99.001600\n"));
	assert_non_null(strstr(page, "work_seconds_count 3\n"));
}

static void
test_buckets_are_not_cumulative(void **state)
{
	int64_t counts[METRICS_BUCKETS];

	(void)state;
	metrics_init(defs, COUNT, 2);
	metrics_observe(SECONDS, 0.0001);
	metrics_use_slot(1);
	metrics_observe(SECONDS, 0.0001);
	metrics_observe(SECONDS, 0.0015);
	metrics_observe(SECONDS, 99);
	metrics_buckets(SECONDS, counts);
	assert_int_equal(counts[0], 2);
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[2], 1);
	assert_int_equal(counts[METRICS_BUCKETS - 1], 1);
	assert_true(metrics_bound(0) < metrics_bound(1));
	assert_true(metrics_bound(METRICS_BUCKETS - 1) > 1e9);
}

static void
test_small_page_is_an_error(void **state)
{
	char page[100];
	size_t len;

	(void)state;
	metrics_init(defs, COUNT, 1);
	assert_int_equal(metrics_render(page, sizeof(page), &len), ERR_NOMEM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_processes_add_up),
	    cmocka_unit_test(test_prometheus_text),
	    cmocka_unit_test(test_buckets_are_not_cumulative),
	    cmocka_unit_test(test_small_page_is_an_error),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
