/* Processes that do the same for some seconds, and count in shared memory. */
#include "crew.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
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

static void
call(struct crew_lane *lane)
{
	lane->in_flight++;
	lane->plan->call(lane);
}

void
crew_called(struct crew_lane *lane, bool more)
{
	lane->in_flight--;
	if (more && clock_seconds() < lane->ends)
		call(lane);
	else if (lane->in_flight == 0)
		ev_break(lane->loop, EVBREAK_ALL);
}

void
crew_keep_calling(unsigned process, double ends, long *done, void *arg)
{
	const struct crew_plan *plan = arg;
	struct crew_lane lane = {.plan = plan,
	    .loop = ev_loop_new(EVFLAG_AUTO),
	    .ends = ends,
	    .done = done};
	char why[256];

	(void)process;
	if (sqs_new(&lane.sqs, lane.loop, plan->config,
		plan->config->sqs_queue_url, plan->calls, why,
		sizeof(why)) != ERR_OK)
		fatal(EXIT_CONFIG, "%s", why);
	for (unsigned i = 0; i < plan->calls; i++)
		call(&lane);
	ev_run(lane.loop, 0);
	sqs_free(lane.sqs);
	ev_loop_destroy(lane.loop);
}

unsigned
crew_number(const char *text, unsigned max)
{
	unsigned long n = strtoul(text, NULL, 10);

	if (n < 1 || n > max)
		config_usage("a number is 0, or too large");
	return (unsigned)n;
}
