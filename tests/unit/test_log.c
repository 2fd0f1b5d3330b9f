/* Records as they arrive on stderr. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"

#define ORDER "01890000-0000-7000-8000-000000000000"

static int stderr_copy, out[2];
static char line[8192]; /* what was logged last */

static int
set_up(void **state)
{
	(void)state;
	log_init("test", LOG_LEVEL_INFO, false);
	stderr_copy = dup(STDERR_FILENO);
	assert_int_equal(pipe(out), 0);
	dup2(out[1], STDERR_FILENO);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	dup2(stderr_copy, STDERR_FILENO);
	close(stderr_copy);
	close(out[0]);
	close(out[1]);
	return 0;
}

static void
read_line(void)
{
	ssize_t n = read(out[0], line, sizeof(line) - 1);

	assert_true(n > 0);
	line[n] = '\0';
}

/* The text behind the time, the name and the process id. */
static const char *
logged(void)
{
	const char *text;

	read_line();
	text = strstr(line, "] ");
	assert_non_null(text);
	return text + 2;
}

static void
test_record(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "Z test[%ld] ", (long)getpid());
	log_info("%d units", 3);
	assert_string_equal(logged(), "info 3 units\n");
	assert_int_equal(strspn(line, "0123456789-:.T"), 23);
	assert_int_equal(strncmp(line + 23, name, strlen(name)), 0);
	log_order_error(ORDER, "lost");
	assert_string_equal(logged(), "error order=" ORDER " lost\n");
}

/* Nobody writes a second record, or to the terminal, through a text. */
static void
test_escapes(void **state)
{
	(void)state;
	log_info("%s", "a\nb\r\t\033[31m\177");
	assert_string_equal(logged(), "info a\\x0ab\\x0d\\x09\\x1b[31m\\x7f\n");
	log_info("%s", "\xc2\x9b[31m\xc2\xa0");
	assert_string_equal(logged(), "info \\xc2\\x9b[31m\xc2\xa0\n");
	log_info("%s", "Caf\xc3\xa9 100%");
	assert_string_equal(logged(), "info Caf\xc3\xa9 100%\n");
}

/* However long the text, and if all of it is escaped: one record. */
static void
test_long_texts_are_cut(void **state)
{
	char text[5000];
	const char *end;

	(void)state;
	memset(text, '\001', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_order_error(ORDER, "%s", text);
	end = strchr(logged(), '\n');
	assert_non_null(end);
	assert_int_equal(end[1], '\0');
	assert_int_equal(end[-1], '1');
	assert_true(strlen(line) > 3900);
}

static void
test_threshold(void **state)
{
	(void)state;
	log_init("test", LOG_LEVEL_WARN, false);
	log_info("not this");
	log_warn("but this");
	assert_string_equal(logged(), "warn but this\n");
	log_init("test", LOG_LEVEL_INFO, false);
}

/* journalctl -p warning finds it, and shows neither time nor pid twice. */
static void
test_journal(void **state)
{
	struct stat st;
	char stream[64];

	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu",
	    (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init("test", LOG_LEVEL_INFO, false);
	log_order_error(ORDER, "lost");
	read_line();
	assert_string_equal(line, "<3>error order=" ORDER " lost\n");
	log_warn("%s", "<0>a\n<0>b");
	read_line();
	assert_string_equal(line, "<4>warn <0>a\\x0a<0>b\n");

	/* Inherited from somebody whose stderr was another. */
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_init("test", LOG_LEVEL_INFO, false);
	log_info("here");
	assert_string_equal(logged(), "info here\n");
	unsetenv("JOURNAL_STREAM");
}

static void
test_rate(void **state)
{
	double last = 0;

	(void)state;
	assert_true(log_rate_ok(&last));
	last += 1000; /* as if the last line were still to come */
	assert_false(log_rate_ok(&last));
	last -= 2000;
	assert_true(log_rate_ok(&last));
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_record),
	    TEST(test_escapes),
	    TEST(test_long_texts_are_cut),
	    TEST(test_threshold),
	    TEST(test_journal),
	    TEST(test_rate),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
