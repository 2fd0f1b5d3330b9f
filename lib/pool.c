/*
 * The prefork master.  Signals and the deaths of children arrive as events
 * of libev's default loop; nothing is done in a signal handler.
 */
#include "pool.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "failpoint.h"
#include "log.h"

#define YOUNG 5.0     /* seconds: dying before that age slows us down */
#define DELAY_MIN 0.5 /* seconds until a child that died young is replaced */
#define DELAY_MAX 30.0
#define IMPATIENT 0.5 /* seconds until a second signal means "at once" */

struct child {
	ev_child watcher; /* pid 0 = none */
	unsigned place;
	double born;
};

/* One of the processes that should be there. */
struct place {
	struct child children[2]; /* two generations during a reload */
	int current;
	double delay;	/* until the next start; 0 = at once */
	ev_timer start; /* running while we wait for that */
};

static struct {
	const struct pool_options *options;
	struct ev_loop *loop;
	struct place places[POOL_MAX];
	ev_signal signals[4];
	ev_timer deadline; /* of a drain or a reload */
	bool reload_again; /* asked for while the last one is not finished */
	bool stopping;
	double stopping_since; /* clock_seconds() */
	int exit_code;
	int life[2]; /* a pipe: its write end closes when the master dies */
	_Atomic bool *ends; /* shared with the children: no successors */
} pool;

static void reload(void);

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP};

/* --- Children --- */

static void
block_signals(bool block)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < 4; i++)
		sigaddset(&set, signal_numbers[i]);
	sigaddset(&set, SIGCHLD);
	sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void
set_disposition(int number, void (*disposition)(int))
{
	struct sigaction action = {.sa_handler = disposition};

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

/* In the new process: nothing of the master's loop may stay. */
static void NORETURN
become_child(unsigned slot)
{
	int code;

	for (size_t i = 0; i < 4; i++)
		ev_signal_stop(pool.loop, &pool.signals[i]);
	ev_loop_destroy(pool.loop);
	close(pool.life[1]);
	set_disposition(SIGCHLD, SIG_DFL);
	code = pool.options->child(slot, pool.options->arg);
	exit(code);
}

static const char *
name_of(const struct child *child)
{
	return pool.options->name(child->place);
}

/* False: the system would have no more processes (logged). */
static bool
start_child(struct place *place)
{
	struct child *child = &place->children[place->current];
	unsigned slot =
	    child->place + pool.options->children * (unsigned)place->current;
	pid_t pid;

	block_signals(true);
	FAILPOINT("master_forking");
	pid = fork();
	if (pid == 0)
		become_child(slot);
	FAILPOINT("master_forked");
	block_signals(false);
	if (pid < 0) {
		log_error(
		    "no new %s: fork: %s", name_of(child), strerror(errno));
		return false;
	}
	child->born = clock_seconds();
	ev_child_set(&child->watcher, pid, 0);
	ev_child_start(pool.loop, &child->watcher);
	log_debug("%s %d started", name_of(child), (int)pid);
	return true;
}

/* Later and later, as long as nothing goes well. */
static void
start_later(struct place *place)
{
	place->delay = place->delay == 0 ? DELAY_MIN : place->delay * 2;
	if (place->delay > DELAY_MAX)
		place->delay = DELAY_MAX;
	log_warn("the next %s starts in %.1f s",
	    name_of(&place->children[place->current]), place->delay);
	ev_timer_set(&place->start, place->delay, 0.);
	ev_timer_start(pool.loop, &place->start);
}

static void
start_or_retry(struct place *place)
{
	if (!start_child(place))
		start_later(place);
}

static bool
is_alive(const struct child *child)
{
	return ev_is_active(&child->watcher);
}

static unsigned
tell_children(int signal_number)
{
	unsigned alive = 0;

	for (unsigned i = 0; i < pool.options->children; i++)
		for (int g = 0; g < 2; g++) {
			struct child *child = &pool.places[i].children[g];

			if (!is_alive(child))
				continue;
			kill(child->watcher.pid, signal_number);
			alive++;
		}
	return alive;
}

static void
write_obituary(const struct child *child, int status)
{
	const char *name = name_of(child);
	int pid = (int)child->watcher.pid;

	if (WIFSIGNALED(status))
		log_error("%s %d was killed by signal %d (%s)", name, pid,
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		log_error("%s %d left with exit code %d", name, pid,
		    WEXITSTATUS(status));
	else
		log_debug("%s %d left", name, pid);
}

/* A child that should be there is gone: replace it, at once if it had been
 * well, later and later if it keeps dying young. */
static void
replace_child(struct place *place, const struct child *child)
{
	bool young = clock_seconds() - child->born < YOUNG;

	if (!young) {
		place->delay = 0;
		start_or_retry(place);
		return;
	}
	log_warn("%s %d died young", name_of(child), (int)child->watcher.pid);
	start_later(place);
}

static unsigned
count_alive(void)
{
	return tell_children(0);
}

/* Are there still children of the generation before? */
static bool
is_reloading(void)
{
	for (unsigned i = 0; i < pool.options->children; i++) {
		const struct place *place = &pool.places[i];

		if (is_alive(&place->children[!place->current]))
			return true;
	}
	return false;
}

static void
on_death(struct ev_loop *loop, ev_child *watcher, int events)
{
	struct child *child = watcher->data;
	struct place *place = &pool.places[child->place];

	(void)events;
	ev_child_stop(loop, watcher);
	write_obituary(child, watcher->rstatus);
	if (pool.stopping) {
		if (count_alive() == 0)
			ev_break(loop, EVBREAK_ALL);
		return;
	}
	if (child == &place->children[place->current])
		replace_child(place, child);
	else if (pool.reload_again && !is_reloading())
		reload();
}

static void
on_start(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	start_or_retry(timer->data);
}

/* --- Signals --- */

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	if (pool.stopping) {
		log_error("not done after %u s: killing %u processes",
		    pool.options->drain_seconds, tell_children(SIGKILL));
		pool.exit_code = EXIT_FAILED;
		return;
	}
	/* After a reload: those of the old generation that will not leave. */
	for (unsigned i = 0; i < pool.options->children; i++) {
		struct place *place = &pool.places[i];
		struct child *old = &place->children[!place->current];

		if (is_alive(old))
			kill(old->watcher.pid, SIGKILL);
	}
}

static void
set_deadline(void)
{
	ev_timer_stop(pool.loop, &pool.deadline);
	ev_timer_set(&pool.deadline, pool.options->drain_seconds, 0.);
	ev_timer_start(pool.loop, &pool.deadline);
}

static void
stop(int signal_number)
{
	/* timeout(1) and others signal us and then our whole group: that is
	 * one wish, not two. */
	if (pool.stopping && signal_number != SIGQUIT &&
	    clock_seconds() - pool.stopping_since < IMPATIENT)
		return;
	if (pool.stopping || signal_number == SIGQUIT) {
		log_warn("told to stop at once");
		pool.stopping = true;
		pool.exit_code = EXIT_FAILED;
		if (tell_children(SIGKILL) == 0)
			ev_break(pool.loop, EVBREAK_ALL);
		return;
	}
	pool.stopping = true;
	*pool.ends = true;
	pool.stopping_since = clock_seconds();
	log_info("stopping: finishing what is under way");
	for (unsigned i = 0; i < pool.options->children; i++)
		ev_timer_stop(pool.loop, &pool.places[i].start);
	if (tell_children(SIGTERM) == 0)
		ev_break(pool.loop, EVBREAK_ALL);
	set_deadline();
}

/* The old child leaves when there is a new one, and not before. */
static void
renew_child(struct place *place)
{
	struct child *old = &place->children[place->current];

	ev_timer_stop(pool.loop, &place->start);
	place->delay = 0;
	place->current = !place->current;
	if (start_child(place)) {
		if (is_alive(old))
			kill(old->watcher.pid, SIGTERM);
	} else if (is_alive(old)) {
		place->current = !place->current;
		log_error("%s %d goes on with the old settings; reload again",
		    name_of(old), (int)old->watcher.pid);
	} else
		start_later(place);
}

/*
 * New children take over beside the old ones, which then finish.  While they
 * do, a further reload waits: there are never three generations.
 */
static void
reload(void)
{
	pool.reload_again = is_reloading();
	if (pool.reload_again)
		return;
	if (pool.options->reload != NULL &&
	    !pool.options->reload(pool.options->arg))
		return;
	log_info("reloading: new processes take over");
	for (unsigned i = 0; i < pool.options->children; i++)
		renew_child(&pool.places[i]);
	set_deadline();
}

static void
on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)loop;
	(void)events;
	if (watcher->signum != SIGHUP)
		stop(watcher->signum);
	else if (!pool.stopping)
		reload();
}

/* --- The master's life --- */

static void
prepare(const struct pool_options *options)
{
	pool.options = options;
	pool.loop = ev_default_loop(EVFLAG_AUTO);
	pool.ends = mmap(NULL, sizeof(*pool.ends), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (pool.loop == NULL || pool.ends == MAP_FAILED ||
	    pipe(pool.life) != 0)
		fatal(EXIT_OSERR, "cannot start: %s", strerror(errno));
	set_disposition(SIGPIPE, SIG_IGN); /* writes tell it better */
	for (size_t i = 0; i < 4; i++) {
		ev_signal_init(&pool.signals[i], on_signal, signal_numbers[i]);
		ev_signal_start(pool.loop, &pool.signals[i]);
	}
	ev_init(&pool.deadline, on_deadline);
	for (unsigned i = 0; i < options->children; i++) {
		struct place *place = &pool.places[i];

		ev_init(&place->start, on_start);
		place->start.data = place;
		for (int g = 0; g < 2; g++) {
			ev_init(&place->children[g].watcher, on_death);
			place->children[g].watcher.data = &place->children[g];
			place->children[g].place = i;
		}
	}
}

/* "1 keeper, 1 recoverer, 2 consumers": who does the same stands together. */
static void
log_children(void)
{
	const struct pool_options *options = pool.options;
	char text[400] = "";
	size_t len = 0;
	unsigned n;

	for (unsigned i = 0; i < options->children; i += n) {
		const char *name = options->name(i);

		for (n = 1; i + n < options->children &&
			    strcmp(options->name(i + n), name) == 0;)
			n++;
		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len,
			    "%s%u %s%s", i > 0 ? ", " : "", n, name,
			    n > 1 ? "s" : "");
	}
	log_info("processes: %s", text);
}

int
pool_run(const struct pool_options *options)
{
	if (options->children == 0 || options->children >= POOL_MAX)
		fatal(
		    EXIT_OSERR, "%u processes are too many", options->children);
	prepare(options);
	for (unsigned i = 0; i < options->children; i++)
		start_or_retry(&pool.places[i]);
	log_children();
	ev_run(pool.loop, 0);
	log_info("stopped");
	return pool.exit_code;
}

/* --- The child's side --- */

static struct {
	ev_signal term;
	ev_io life;
	bool asked;
	void (*asks)(void *);
	void *arg;
} parent;

struct ev_loop *
pool_new_loop(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);

	if (loop == NULL)
		fatal(EXIT_OSERR, "cannot make an event loop");
	return loop;
}

static void
ask_once(struct ev_loop *loop)
{
	/* The signal stays caught: a second one must not cut the work short,
	 * the master has SIGKILL for that. */
	ev_io_stop(loop, &parent.life);
	if (!parent.asked) {
		parent.asked = true;
		parent.asks(parent.arg);
	}
}

static void
on_term(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)watcher;
	(void)events;
	ask_once(loop);
}

static void
on_orphaned(struct ev_loop *loop, ev_io *watcher, int events)
{
	(void)watcher;
	(void)events;
	log_warn("the master is gone: finishing");
	*pool.ends = true;
	ask_once(loop);
}

void
pool_watch_parent(struct ev_loop *loop, void (*asks)(void *), void *arg)
{
	sigset_t term;

	parent.asks = asks;
	parent.arg = arg;
	ev_signal_init(&parent.term, on_term, SIGTERM);
	ev_signal_start(loop, &parent.term);
	/* Blocked since before the fork; libev leaves that to us. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	ev_io_init(&parent.life, on_orphaned, pool.life[0], EV_READ);
	ev_io_start(loop, &parent.life);
}

bool
pool_goes_on(void)
{
	return !*pool.ends;
}
