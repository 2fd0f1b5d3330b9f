/* The gatekeeper with a Redis of its own: what it costs when nothing happens.
 * What it does is tried with nginx, in tests/integration/test_gate.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include <cmocka.h>

#include "../../fcgi/gatekeeper.h"
#include "../../fcgi/stats.h"
#include "metrics.h"
#include "pool.h"
#include "redis_server.h"

#define PATIENCE 20   /* seconds until a condition must hold */
#define TOO_MANY 1100 /* SKUs; it has gates for 1024 */

static struct redis_server server;
static char gate_dir[80];
static struct config config;
static pid_t master;

static void
pause_for(double seconds)
{
	nanosleep(&(struct timespec){.tv_sec = (time_t)seconds,
		      .tv_nsec = (long)((seconds - (time_t)seconds) * 1e9)},
	    NULL);
}

/* What Redis says to a command, or nothing. */
static void
ask(const char *command, char *answer, size_t size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t len = 0;
	ssize_t n;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", server.path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		dprintf(fd, "%s\r\nQUIT\r\n", command);
		while ((n = read(fd, answer + len, size - 1 - len)) > 0)
			len += (size_t)n;
	}
	answer[len] = '\0';
	close(fd);
}

static int
start_redis(void **state)
{
	char answer[100] = "";

	(void)state;
	redis_server_new(&server);
	for (int i = 0; i < PATIENCE * 100 && answer[0] == '\0'; i++) {
		pause_for(0.01);
		ask("PING", answer, sizeof(answer));
	}
	return answer[0] == '\0';
}

static int
stop_all(void **state)
{
	(void)state;
	if (master > 0) { /* the test has failed */
		kill(master, SIGQUIT);
		waitpid(master, NULL, 0);
	}
	redis_server_free(&server);
	return 0;
}

/* How often the SKUs were listed. */
static int
count_lists(void)
{
	char answer[8000];
	const char *found;
	int n = 0;

	ask("INFO commandstats", answer, sizeof(answer));
	found = strstr(answer, "cmdstat_smembers:calls=");
	if (found != NULL)
		sscanf(found, "cmdstat_smembers:calls=%d", &n);
	return n;
}

static int
keep(unsigned slot, void *arg)
{
	(void)arg;
	metrics_use_slot(slot);
	return gatekeeper_run(&config);
}

static const char *
name(unsigned place)
{
	(void)place;
	return "gatekeeper";
}

static void
start_gatekeeper(void)
{
	static const struct pool_options options = {
	    .name = name, .children = 1, .drain_seconds = 5, .child = keep};

	snprintf(gate_dir, sizeof(gate_dir), "%s/gate", server.dir);
	assert_int_equal(mkdir(gate_dir, 0755), 0);
	config = (struct config){.redis_url = server.url,
	    .redis_timeout_ms = 2000,
	    .default_sku = "bike",
	    .gate_dir = gate_dir};
	stats_init(2);
	master = fork();
	if (master == 0)
		exit(pool_run(&options));
}

/* As many gates as it can have: nothing more is to be found. */
static void
test_a_full_gatekeeper_lists_no_more(void **state)
{
	int status, lists, i;
	char text[100];

	(void)state;
	for (i = 0; i < TOO_MANY; i++) {
		snprintf(text, sizeof(text), "SADD fs:sales sku.%d", i);
		ask(text, text, sizeof(text));
	}
	start_gatekeeper();
	for (i = 0; i < PATIENCE * 10 && count_lists() == 0; i++)
		pause_for(0.1);
	pause_for(0.5);
	lists = count_lists();
	assert_in_range(lists, 1, 2);
	pause_for(2.5);
	assert_int_equal(count_lists(), lists);
	kill(master, SIGTERM);
	assert_int_equal(waitpid(master, &status, 0), master);
	master = 0;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(rmdir(gate_dir), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		test_a_full_gatekeeper_lists_no_more, start_redis, stop_all),
	};

	return cmocka_run_group_tests_name("gatekeeper", tests, NULL, NULL);
}
