/* The two clocks: one for deadlines, one for records. */
#ifndef FLASHSALE_CLOCK_H
#define FLASHSALE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Seconds that never jump: for deadlines and durations. */
static inline double
clock_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Milliseconds since 1970, as messages and sales have them. */
static inline int64_t
clock_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
