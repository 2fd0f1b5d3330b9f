/* A failpoint ends processes: each test passes it in children. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "failpoint.h"

static char folder[] = "/tmp/test_failpoint.XXXXXX";
static char file[64];

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/here", folder);
	return setenv("FAILPOINTS", folder, 1);
}

static int
tear_down(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int
clear(void **state)
{
	(void)state;
	(void)unlink(file);
	return 0;
}

static void
arm(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int
is_armed(void)
{
	return access(file, F_OK) == 0;
}

/* The wait status of a process that passes the point so many times. */
static int
pass(int times)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		while (times-- > 0)
			failpoint_pass("here");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int
was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void
test_not_armed(void **state)
{
	(void)state;
	assert_int_equal(pass(3), 0);
	arm("kill");
	failpoint_pass("there");
	assert_true(is_armed());
}

static void
test_no_folder(void **state)
{
	(void)state;
	arm("kill");
	unsetenv("FAILPOINTS");
	failpoint_pass("here");
	setenv("FAILPOINTS", folder, 1);
	assert_true(is_armed());
}

static void
test_kill_happens_once(void **state)
{
	(void)state;
	arm("kill\n");
	assert_true(was_killed(pass(1)));
	assert_false(is_armed());
	assert_int_equal(pass(1), 0);
}

static void
test_exit(void **state)
{
	int status;

	(void)state;
	arm("exit");
	status = pass(1);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* The passes of all processes count together. */
static void
test_the_third_pass(void **state)
{
	(void)state;
	arm("kill 3");
	assert_int_equal(pass(2), 0);
	assert_true(is_armed());
	assert_true(was_killed(pass(1)));
	assert_int_equal(pass(1), 0);

	arm("kill 3");
	assert_true(was_killed(pass(3)));
}

static void
test_of_many_one_dies(void **state)
{
	pid_t pid[8];
	int i, status, killed = 0, start[2];
	char c;

	(void)state;
	arm("kill 2");
	assert_int_equal(pipe(start), 0);
	for (i = 0; i < 8; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			close(start[1]);
			(void)!read(start[0], &c, 1); /* all at once */
			failpoint_pass("here");
			_exit(0);
		}
	}
	close(start[0]);
	close(start[1]);
	for (i = 0; i < 8; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		killed += was_killed(status);
	}
	assert_int_equal(killed, 1);
}

static void
test_sleep(void **state)
{
	struct timespec before, after;

	(void)state;
	arm("sleep:1200 2");
	failpoint_pass("here");
	assert_true(is_armed());
	clock_gettime(CLOCK_MONOTONIC, &before);
	failpoint_pass("here");
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec > before.tv_sec); /* at least a second */
	assert_false(is_armed());
}

static void
test_nonsense_does_nothing(void **state)
{
	static const char *const texts[] = {"", "\n", "9", "KILL", ":5"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		arm(texts[i]);
		assert_int_equal(pass(2), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_not_armed, clear),
	    cmocka_unit_test_teardown(test_no_folder, clear),
	    cmocka_unit_test_teardown(test_kill_happens_once, clear),
	    cmocka_unit_test_teardown(test_exit, clear),
	    cmocka_unit_test_teardown(test_the_third_pass, clear),
	    cmocka_unit_test_teardown(test_of_many_one_dies, clear),
	    cmocka_unit_test_teardown(test_sleep, clear),
	    cmocka_unit_test_teardown(test_nonsense_does_nothing, clear),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
