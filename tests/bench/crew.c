/* Processes that do the same for some seconds, and count in shared memory. */
#include "crew.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "exit_codes.h"
#include "log.h"

static void
wait_for_all(void)
{
	bool failed = false;
	int status;

	while (wait(&status) > 0)
		failed = failed || status != 0;
	if (failed)
		exit(EXIT_UNAVAIL); /* it has said why */
}

double
crew_rate(unsigned processes, unsigned seconds, crew_fn *work, void *arg)
{
	double started = clock_seconds();
	long sum = 0,
	     *counts = mmap(NULL, CREW_MAX * sizeof(*counts),
		 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (counts == MAP_FAILED)
		fatal(EXIT_OSERR, "out of memory");
	for (unsigned i = 0; i < processes; i++)
		switch (fork()) {
		case -1:
			fatal(EXIT_OSERR, "cannot fork");
		case 0:
			work(i, started + seconds, &counts[i], arg);
			_exit(EXIT_FINE);
		}
	wait_for_all();
	for (unsigned i = 0; i < processes; i++)
		sum += counts[i];
	return sum / (clock_seconds() - started);
}

unsigned
crew_number(const char *text, unsigned max)
{
	unsigned long n = strtoul(text, NULL, 10);

	if (n < 1 || n > max)
		config_usage("a number is 0, or too large");
	return (unsigned)n;
}
