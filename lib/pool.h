/*
 * A prefork master: starts children, replaces those that die (slower when
 * they die young), reloads on SIGHUP child by child, drains on SIGTERM or
 * SIGINT, and kills at a deadline, at SIGQUIT or at a second SIGTERM that comes
 * later than 0.5 s after the first.  Knows nothing of
 * what the children do.
 */
#ifndef FLASHSALE_POOL_H
#define FLASHSALE_POOL_H

#include <stdbool.h>

#include <ev.h>

#include "err.h"

#define POOL_MAX 257 /* children */

struct pool_options {
	/* What the child of that place is, for the log: "responder". */
	const char *(*name)(unsigned place);
	unsigned children;
	unsigned drain_seconds;
	/*
	 * The child's life, in one of 2 * children slots (old and new ones
	 * live side by side during a reload); slot % children is its place.
	 * It runs in the new process, without the master's event loop and with
	 * its signals blocked, and ends by returning its exit code.  It learns
	 * from pool_watch_parent() when to finish.
	 */
	int (*child)(unsigned slot, void *arg);
	/* On SIGHUP, in the master, before the children are replaced. False:
	 * keep the old ones (the function has logged why). NULL is fine.
	 * An old child also stays when there can be no new one in its place. */
	bool (*reload)(void *arg);
	void *arg;
};

/* Returns the exit code of the program: 0 after an orderly stop. */
int pool_run(const struct pool_options *);

/* In a child: its event loop; there is one, or the child is dead. */
struct ev_loop *pool_new_loop(void);

/*
 * In a child: asks(arg) is called on the loop when the child should finish
 * its work and leave: SIGTERM or the master's death.  Once.
 */
void pool_watch_parent(struct ev_loop *, void (*asks)(void *arg), void *arg);

/* In a child that is to finish: will others go on with its work?  Not when
 * the whole pool stops. */
bool pool_goes_on(void);

#endif
