/*
 * Waiting for a condition by turning an event loop.  The loop needs a tick, so
 * that each turn ends.  Include cmocka.h before it.
 */
#ifndef FLASHSALE_TESTS_EVENTUALLY_H
#define FLASHSALE_TESTS_EVENTUALLY_H

#include <ev.h>

#include "clock.h"

#define PATIENCE 20 /* seconds until a condition must hold */

#define EVENTUALLY(loop, condition)                             \
	do {                                                    \
		double limit = clock_seconds() + PATIENCE;      \
		while (!(condition) && clock_seconds() < limit) \
			ev_run(loop, EVRUN_ONCE);               \
		assert_true(condition);                         \
	} while (0)

static void
eventually_on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
}

/* tick has to live as long as the loop. */
static inline void
eventually_start_tick(struct ev_loop *loop, ev_timer *tick)
{
	ev_timer_init(tick, eventually_on_tick, 0.01, 0.01);
	ev_timer_start(loop, tick);
}

#endif
