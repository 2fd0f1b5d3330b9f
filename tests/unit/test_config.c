/* Settings: sources and their order, limits, files, reloads. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

static const struct config_about about = {
    .program = "test",
    .which = FOR_FCGI,
    .synopsis = "",
    .purpose = "",
};

static char file[64];
static char output[32768]; /* what config_load() has said */

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* argv for getopt, which wants to start again each time. */
static struct config
load(const char *argument)
{
	struct config config;
	char name[] = "test", *argv[3] = {name, NULL, NULL};
	static char copy[128]; /* a reload reads it again */

	optind = 0;
	if (argument != NULL) {
		snprintf(copy, sizeof(copy), "%s", argument);
		argv[1] = copy;
	}
	config_load(&config, &about, argument != NULL ? 2 : 1, argv);
	return config;
}

/* config_load() exits on errors: run it in a child and read what it says. */
static int
exit_code_of(const char *argument)
{
	int status, out[2];
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDERR_FILENO);
		dup2(out[1], STDOUT_FILENO);
		load(argument);
		_exit(99);
	}
	close(out[1]);
	while ((n = read(out[0], output + len, sizeof(output) - 1 - len)) > 0)
		len += (size_t)n;
	output[len] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static int
set_up(void **state)
{
	(void)state;
	snprintf(file, sizeof(file), "/tmp/test_config.%ld", (long)getpid());
	unsetenv("SEND_CONCURRENCY");
	unsetenv("QUEUE");
	unsetenv("REDIS_URL");
	unsetenv("ADMIN_TOKEN");
	setenv("FLASHSALE_CONFIG", file, 1);
	write_file("");
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(file);
	return 0;
}

static void
test_strongest_source_wins(void **state)
{
	(void)state;
	assert_int_equal(load(NULL).send_concurrency, 32);
	write_file("SEND_CONCURRENCY=2\n");
	assert_int_equal(load(NULL).send_concurrency, 2);
	setenv("SEND_CONCURRENCY", "3", 1);
	assert_int_equal(load(NULL).send_concurrency, 3);
	assert_int_equal(load("--send-concurrency=4").send_concurrency, 4);
	setenv("SEND_CONCURRENCY", "", 1); /* empty is unset */
	assert_int_equal(load(NULL).send_concurrency, 2);
}

static void
test_file_syntax(void **state)
{
	struct config c;

	(void)state;
	write_file("# comment\n; another\n\n  export REDIS_URL = x\n"
		   "LISTEN=\"/run/a b.sock\"  \r\nDEFAULT_SKU='x'\n"
		   "SOMEBODY_ELSES=1\nADMIN_TOKEN=0123456789abcdef");
	unsetenv("REDIS_URL");
	c = load(NULL);
	assert_string_equal(c.listen, "/run/a b.sock");
	assert_string_equal(c.default_sku, "x");
	assert_string_equal(c.admin_token, "0123456789abcdef");
	write_file("no equals sign\n");
	assert_int_equal(exit_code_of(NULL), 78);
	assert_non_null(strstr(output, ":1: must be NAME=value"));
}

static void
test_bad_values_are_named(void **state)
{
	(void)state;
	assert_int_equal(exit_code_of("--send-concurrency=0"), 78);
	assert_non_null(strstr(output, "SEND_CONCURRENCY=0"));
	assert_non_null(strstr(output, "the command line"));
	assert_non_null(strstr(output, "from 1 to 256"));
	assert_int_equal(exit_code_of("--send-concurrency=1x"), 78);
	assert_int_equal(exit_code_of("--send-concurrency=-1"), 78);
	assert_int_equal(exit_code_of("--send-concurrency= 1"), 78);
	assert_int_equal(exit_code_of("--log-level=loud"), 78);
	assert_int_equal(exit_code_of("--log-target=paper"), 78);
	assert_int_equal(exit_code_of("--send-deadline-ms=2000"), 78);
	setenv("ADMIN_TOKEN", "short", 1);
	assert_int_equal(exit_code_of(NULL), 78);
	assert_null(strstr(output, "short"));
}

/* Without SQS its deadline is no rule. */
static void
test_queue(void **state)
{
	struct config c;

	(void)state;
	assert_int_equal(load(NULL).queue, QUEUE_SQS);
	assert_int_equal(load("--queue=sqs").queue, QUEUE_SQS);
	write_file("QUEUE=redis\nSEND_DEADLINE_MS=2000\n");
	c = load(NULL);
	assert_int_equal(c.queue, QUEUE_REDIS);
	assert_int_equal(c.send_deadline_ms, 2000);
	assert_int_equal(exit_code_of("--queue=sqs"), 78);
	assert_int_equal(exit_code_of("--queue=Redis"), 78);
	assert_non_null(strstr(output, "sqs or redis"));
}

/* Whoever lists processes reads their arguments. */
static void
test_secrets_have_no_flag(void **state)
{
	(void)state;
	assert_int_equal(exit_code_of("--admin-token=0123456789abcdef"), 64);
	assert_int_equal(exit_code_of("--redis-url=redis://:hunter2@h"), 64);
	assert_non_null(strstr(output, "REDIS_URL is a secret"));
	assert_null(strstr(output, "hunter2")); /* logs are read, too */
	assert_int_equal(exit_code_of("--redis-url"), 64);
	assert_non_null(strstr(output, "REDIS_URL is a secret"));
}

static void
test_missing_file(void **state)
{
	(void)state;
	setenv("FLASHSALE_CONFIG", "/nowhere/at.all", 1);
	assert_int_equal(exit_code_of(NULL), 78);
	assert_non_null(strstr(output, "/nowhere/at.all"));
}

static void
test_check_and_help(void **state)
{
	(void)state;
	assert_int_equal(exit_code_of("--check"), 0);
	assert_int_equal(exit_code_of("--help"), 0);
	assert_non_null(strstr(output, "--send-concurrency=VALUE"));
	assert_int_equal(exit_code_of("--settings"), 0);
	assert_non_null(strstr(output, "| `REDIS_URL` |"));
	assert_int_equal(exit_code_of("--no-such-thing"), 64);
}

/* A name that is nobody's may be one of ours, misspelt. */
static void
test_check_notes_a_misspelt_name(void **state)
{
	(void)state;
	write_file("RESPONDRS=3\nADMIN_TOKENS=hunter2\nREDIS-URL=x\nA=1\n"
		   "SOMEBODY_ELSES=1\nRESPONDERS_OF_OURS=1\nDEFAULT_SKU=a\n");
	assert_int_equal(exit_code_of("--check"), 0);
	assert_non_null(strstr(output, ":1: RESPONDRS is passed over; is it "
				       "meant to be RESPONDERS?"));
	assert_non_null(strstr(output, "meant to be ADMIN_TOKEN?"));
	assert_non_null(strstr(output, "meant to be REDIS_URL?"));
	assert_null(strstr(output, "OURS"));
	assert_null(strstr(output, "SOMEBODY"));
	assert_null(strstr(output, "DEFAULT_SKU"));
	assert_null(strstr(output, "hunter2"));
}

static void
test_reload_keeps_the_old_when_bad(void **state)
{
	struct config c;
	char why[256];

	(void)state;
	write_file("DEFAULT_SKU=one\n");
	c = load(NULL);
	write_file("DEFAULT_SKU=two\nSEND_CONCURRENCY=999\n");
	assert_int_equal(config_reload(&c, why, sizeof(why)), ERR_BAD_INPUT);
	assert_non_null(strstr(why, "SEND_CONCURRENCY=999"));
	assert_string_equal(c.default_sku, "one");
	write_file("DEFAULT_SKU=three\n");
	assert_int_equal(config_reload(&c, why, sizeof(why)), ERR_OK);
	assert_string_equal(c.default_sku, "three");
	write_file("SEND_CONCURRENCY=x\n");
	assert_int_equal(config_reload(&c, why, sizeof(why)), ERR_BAD_INPUT);
	assert_string_equal(c.default_sku, "three");
}

/* What config_log() writes. */
static const char *
logged(const struct config *config)
{
	int old = dup(STDERR_FILENO), out[2];
	ssize_t n;

	assert_int_equal(pipe(out), 0);
	dup2(out[1], STDERR_FILENO);
	config_log(config, &about);
	dup2(old, STDERR_FILENO);
	close(old);
	close(out[1]);
	n = read(out[0], output, sizeof(output) - 1);
	close(out[0]);
	assert_true(n > 0);
	output[n] = '\0';
	return output;
}

/* What is there for good keeps its value, however often it is read again. */
static void
test_reload_keeps_what_needs_a_restart(void **state)
{
	struct config c;
	char why[256];

	(void)state;
	write_file("GATE_DIR=/run/gate\nRESPONDERS=3\nDEFAULT_SKU=one\n");
	c = load(NULL);
	for (int i = 0; i < 4; i++) {
		write_file(i % 2 == 0 ? "DEFAULT_SKU=xxxxxxxxxxxxxxxxxxxxxxx\n"
					"GATE_DIR=\nDRAIN_SECONDS=300\n"
				      : "LISTEN=/run/socket.of.somebody.else\n"
					"QUEUE=redis\nGATE_DIR=/run/other\n");
		assert_int_equal(config_reload(&c, why, sizeof(why)), ERR_OK);
		assert_string_equal(c.gate_dir, "/run/gate");
		assert_int_equal(c.responders, 3);
		assert_string_equal(c.listen, "");
		assert_int_equal(c.queue, QUEUE_SQS);
		assert_int_equal(c.drain_seconds, 30);
		assert_non_null(strstr(logged(&c), " GATE_DIR=/run/gate"));
		assert_non_null(strstr(output, " needs a restart: "));
	}
	assert_non_null(strstr(output, "restart: QUEUE LISTEN RESPONDERS "));
	assert_string_equal(c.default_sku, "iphone_16");
	write_file("GATE_DIR=/run/gate\nRESPONDERS=3\n"); /* changed back */
	assert_int_equal(config_reload(&c, why, sizeof(why)), ERR_OK);
	assert_null(strstr(logged(&c), "restart"));
}

static void
test_the_log_tells_every_kind(void **state)
{
	struct config c;

	(void)state;
	write_file("RECOVERY=off\nQUEUE=redis\nLISTEN=/a\nRESPONDERS=2\n"
		   "ADMIN_TOKEN=0123456789abcdef\n");
	c = load(NULL);
	assert_non_null(strstr(logged(&c), " starts: "));
	assert_non_null(strstr(output, " RECOVERY=off "));
	assert_non_null(strstr(output, " QUEUE=redis "));
	assert_non_null(strstr(output, " LISTEN=/a "));
	assert_non_null(strstr(output, " RESPONDERS=2 "));
	assert_non_null(strstr(output, " LOG_LEVEL=info "));
	assert_non_null(strstr(output, " LOG_TARGET=stderr "));
	assert_non_null(strstr(output, " ADMIN_TOKEN=(set) "));
	assert_null(strstr(output, "GATE_DIR"));
}

static void
test_empty_means_unset(void **state)
{
	(void)state;
	assert_string_equal(
	    load("--default-sku=").default_sku, load(NULL).default_sku);
	setenv("DEFAULT_SKU", "bike", 1);
	assert_string_equal(load("--default-sku=").default_sku, "bike");
	unsetenv("DEFAULT_SKU");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_strongest_source_wins),
	    TEST(test_file_syntax),
	    TEST(test_bad_values_are_named),
	    TEST(test_queue),
	    TEST(test_secrets_have_no_flag),
	    TEST(test_missing_file),
	    TEST(test_check_and_help),
	    TEST(test_check_notes_a_misspelt_name),
	    TEST(test_reload_keeps_the_old_when_bad),
	    TEST(test_reload_keeps_what_needs_a_restart),
	    TEST(test_the_log_tells_every_kind),
	    TEST(test_empty_means_unset),
	};

	log_init("test_config", LOG_LEVEL_INFO, false);
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
