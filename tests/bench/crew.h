/*
 * What the bare loops have in common: processes that do the same for some
 * seconds, and count.
 */
#ifndef FLASHSALE_BENCH_CREW_H
#define FLASHSALE_BENCH_CREW_H

#define CREW_MAX 256 /* processes */

/* Work in the given process (0, 1, ...) until clock_seconds() is ends, or
 * there is nothing left to do, and count it in *done. */
typedef void crew_fn(unsigned process, double ends, long *done, void *arg);

/* What so many processes do in a second.  Exits when one of them fails. */
double crew_rate(unsigned processes, unsigned seconds, crew_fn *, void *arg);

/* A number of the command line, from 1 to max. */
unsigned crew_number(const char *text, unsigned max);

#endif
