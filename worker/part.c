/* Outages: told once, waited out with growing, jittered pauses. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"

#include "part.h"

#define BACKOFF_MIN 0.25 /* seconds */
#define BACKOFF_MAX 5.0

double
part_failed(struct part *part, const char *fmt, ...)
{
	char why[512];
	va_list args;

	if (!part->down) {
		va_start(args, fmt);
		vsnprintf(why, sizeof(why), fmt, args);
		va_end(args);
		log_warn(
		    "%s: %s; trying again until it is back", part->name, why);
		part->down = true;
		part->down_since = clock_seconds();
	}
	part->backoff = part->backoff == 0 ? BACKOFF_MIN : part->backoff * 2;
	if (part->backoff > BACKOFF_MAX)
		part->backoff = BACKOFF_MAX;
	return part->backoff * (0.5 + drand48() / 2);
}

void
part_answers(struct part *part)
{
	if (part->down)
		log_info("%s: back after %.1f s", part->name,
		    clock_seconds() - part->down_since);
	part->down = false;
}

void
part_works(struct part *part)
{
	part_answers(part);
	part->backoff = 0;
}
