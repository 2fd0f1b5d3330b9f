/* The prefork master with real processes: replace, reload, drain, kill. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "log.h"
#include "pool.h"

#define PATIENCE 20 /* seconds until a condition must hold */

enum manner { OBEDIENT, DEAF, SHORT_LIVED };

/* What the processes tell the test. */
static struct shared {
	_Atomic int starts, asked, reloads;
	_Atomic bool no_forks;	/* the system is out of processes */
	_Atomic int refused;	/* so many forks */
	_Atomic pid_t pids[64]; /* by start */
	_Atomic enum manner manner;
} * shared;

/* Instead of the C library's. */
pid_t
fork(void)
{
	pid_t (*real)(void);

	if (shared->no_forks) {
		shared->refused++;
		errno = EAGAIN;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "fork");
	return real();
}

static void
on_asked(void *arg)
{
	shared->asked++;
	if (shared->manner == OBEDIENT)
		ev_break(arg, EVBREAK_ALL);
}

static int
live(unsigned slot, void *arg)
{
	struct ev_loop *loop = pool_new_loop();

	(void)arg;
	(void)slot;
	shared->pids[shared->starts++ % 64] = getpid();
	if (shared->manner == SHORT_LIVED)
		return 1;
	pool_watch_parent(loop, on_asked, loop);
	ev_run(loop, 0);
	ev_loop_destroy(loop);
	return 0;
}

static bool
on_reload(void *arg)
{
	(void)arg;
	return ++shared->reloads % 2 == 1; /* the second one fails */
}

static const char *
name(unsigned place)
{
	return place == 0 ? "first" : "second";
}

static pid_t
start_pool(enum manner manner)
{
	static const struct pool_options options = {.name = name,
	    .children = 2,
	    .drain_seconds = 1,
	    .child = live,
	    .reload = on_reload};
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	shared->manner = manner;
	pid = fork();
	if (pid == 0) {
		close(STDERR_FILENO);
		exit(pool_run(&options));
	}
	return pid;
}

static void
pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

#define EVENTUALLY(condition)                              \
	do {                                               \
		time_t limit = time(NULL) + PATIENCE;      \
		while (!(condition) && time(NULL) < limit) \
			pause_briefly();                   \
		assert_true(condition);                    \
	} while (0)

static int
exit_code(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool
is_gone(pid_t pid)
{
	return kill(pid, 0) != 0;
}

static void
test_drains_on_sigterm(void **state)
{
	pid_t master = start_pool(OBEDIENT);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	kill(master, SIGTERM);
	assert_int_equal(exit_code(master), 0);
	assert_int_equal(shared->asked, 2);
	assert_true(is_gone(shared->pids[0]));
	assert_true(is_gone(shared->pids[1]));
}

static void
test_kills_the_deaf_at_the_deadline(void **state)
{
	pid_t master = start_pool(DEAF);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	kill(master, SIGTERM);
	assert_int_equal(exit_code(master), 1);
	assert_true(is_gone(shared->pids[0]));
}

static void
test_sigquit_stops_at_once(void **state)
{
	pid_t master = start_pool(DEAF);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	kill(master, SIGINT);
	EVENTUALLY(shared->asked == 2);
	kill(master, SIGQUIT);
	assert_int_equal(exit_code(master), 1);
}

/* timeout(1) signals twice within a moment. */
static void
test_echo_of_a_signal_is_no_second_one(void **state)
{
	pid_t master = start_pool(OBEDIENT);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	kill(master, SIGTERM);
	kill(master, SIGINT);
	assert_int_equal(exit_code(master), 0);
	assert_int_equal(shared->asked, 2);
}

static void
test_replaces_the_dead(void **state)
{
	pid_t master = start_pool(OBEDIENT);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	kill(shared->pids[0], SIGKILL);
	EVENTUALLY(shared->starts == 3);
	assert_false(is_gone(shared->pids[2]));
	kill(master, SIGTERM);
	assert_int_equal(exit_code(master), 0);
}

/* A child that dies at once must not become a fork storm. */
static void
test_slows_down(void **state)
{
	pid_t master = start_pool(SHORT_LIVED);
	time_t until = time(NULL) + 3;

	(void)state;
	EVENTUALLY(shared->starts >= 4);
	while (time(NULL) < until)
		pause_briefly();
	assert_in_range(shared->starts, 4, 12);
	kill(master, SIGTERM);
	assert_int_equal(exit_code(master), 0);
}

static void
test_reload_replaces_each_child(void **state)
{
	pid_t master = start_pool(OBEDIENT), old[2];

	(void)state;
	EVENTUALLY(shared->starts == 2);
	old[0] = shared->pids[0];
	old[1] = shared->pids[1];
	kill(master, SIGHUP);
	EVENTUALLY(shared->starts == 4);
	EVENTUALLY(is_gone(old[0]) && is_gone(old[1]));
	kill(master, SIGHUP); /* this reload says no */
	EVENTUALLY(shared->reloads == 2);
	assert_int_equal(shared->starts, 4);
	kill(master, SIGTERM);
	assert_int_equal(exit_code(master), 0);
}

/* No process to be had is no reason to let those go that there are. */
static void
test_a_reload_without_forks_keeps_the_children(void **state)
{
	pid_t master = start_pool(OBEDIENT);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	shared->no_forks = true;
	kill(master, SIGHUP);
	EVENTUALLY(shared->refused == 2);
	shared->no_forks = false;
	kill(master, SIGHUP); /* says no, when the one before is done */
	EVENTUALLY(shared->reloads == 2);
	assert_int_equal(shared->asked, 0);
	assert_int_equal(shared->starts, 2);
	kill(
	    shared->pids[0], SIGKILL); /* and they are looked after as before */
	EVENTUALLY(shared->starts == 3);
	kill(master, SIGHUP); /* a reload that has processes */
	EVENTUALLY(shared->starts == 5 && shared->asked == 2);
	kill(master, SIGTERM);
	assert_int_equal(exit_code(master), 0);
}

/* A dead child whose place cannot be filled is not forgotten. */
static void
test_a_fork_that_fails_is_tried_again(void **state)
{
	pid_t master = start_pool(OBEDIENT);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	shared->no_forks = true;
	kill(shared->pids[0], SIGKILL);
	EVENTUALLY(shared->refused > 0);
	shared->no_forks = false;
	EVENTUALLY(shared->starts == 3);
	kill(master, SIGTERM);
	assert_int_equal(exit_code(master), 0);
}

/* Children that take their time are not cut short by the next reload. */
static void
test_reloads_wait_for_each_other(void **state)
{
	pid_t master = start_pool(DEAF);

	(void)state;
	EVENTUALLY(shared->starts == 2);
	kill(master, SIGHUP);
	EVENTUALLY(shared->starts == 4 && shared->asked == 2);
	shared->reloads = 2; /* let the next one succeed too */
	kill(master, SIGHUP);
	pause_briefly();
	assert_false(is_gone(shared->pids[0]));
	assert_int_equal(shared->starts, 4);
	EVENTUALLY(shared->starts == 6); /* after the deadline of the first */
	assert_true(is_gone(shared->pids[0]) && is_gone(shared->pids[1]));
	kill(master, SIGQUIT);
	assert_int_equal(exit_code(master), 1);
}

static void
test_children_leave_with_the_master(void **state)
{
	pid_t master = start_pool(OBEDIENT);
	int status;

	(void)state;
	EVENTUALLY(shared->starts == 2);
	kill(master, SIGKILL);
	waitpid(master, &status, 0);
	EVENTUALLY(shared->asked == 2);
	EVENTUALLY(is_gone(shared->pids[0]) && is_gone(shared->pids[1]));
}

/* libev makes no loop when it may use nothing that this system has. */
static void
test_no_loop_is_fatal(void **state)
{
	pid_t pid;

	(void)state;
	shared->no_forks = false;
	pid = fork();
	if (pid == 0) {
		close(STDERR_FILENO);
		setenv("LIBEV_FLAGS", "8", 1); /* kqueue */
		pool_new_loop();
		exit(0);
	}
	assert_int_equal(exit_code(pid), EXIT_OSERR);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_drains_on_sigterm),
	    cmocka_unit_test(test_kills_the_deaf_at_the_deadline),
	    cmocka_unit_test(test_sigquit_stops_at_once),
	    cmocka_unit_test(test_echo_of_a_signal_is_no_second_one),
	    cmocka_unit_test(test_replaces_the_dead),
	    cmocka_unit_test(test_slows_down),
	    cmocka_unit_test(test_reload_replaces_each_child),
	    cmocka_unit_test(test_a_reload_without_forks_keeps_the_children),
	    cmocka_unit_test(test_a_fork_that_fails_is_tried_again),
	    cmocka_unit_test(test_reloads_wait_for_each_other),
	    cmocka_unit_test(test_children_leave_with_the_master),
	    cmocka_unit_test(test_no_loop_is_fatal),
	};

	log_init("test_pool", LOG_LEVEL_ERROR, false);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
