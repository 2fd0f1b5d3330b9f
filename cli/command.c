/* Reading options and complaining about them.  Knows no single command. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "message.h"

#include "command.h"

void
command_help(const struct command *c)
{
	printf("Usage: flashsale [SETTING...] %s %s\n\n%s.\n\n", c->name,
	    c->synopsis, c->purpose);
	printf("Options:\n%s  -h, --help         print this and exit\n\n",
	    c->options);
	if (c->notes != NULL)
		printf("%s\n", c->notes);
	printf("\"flashsale --help\" lists the settings: Redis, SQS, "
	       "MySQL...\n");
	exit(EXIT_FINE);
}

void
command_hint(const struct command *c)
{
	fprintf(stderr, "Try \"flashsale %s --help\".\n", c->name);
	exit(EXIT_USAGE);
}

void
command_misused(const struct command *c, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "flashsale %s: ", c->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	command_hint(c);
}

int64_t
command_number(const struct command *c, const char *option, const char *text,
    int64_t min, int64_t max)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < min ||
	    value > max)
		command_misused(c,
		    "%s must be a number from %" PRId64 " to %" PRId64
		    ", not \"%s\"",
		    option, min, max, text);
	return value;
}

const char *
command_sku(
    const struct command *c, int argc, char **argv, const char *fallback)
{
	const char *sku = optind < argc ? argv[optind] : fallback;

	if (argc - optind > 1)
		command_misused(
		    c, "one SKU at a time; what is \"%s\"?", argv[optind + 1]);
	if (sku == NULL)
		command_misused(c, "which SKU?");
	if (!sku_is_valid(sku, strlen(sku)))
		command_misused(c,
		    "\"%s\" cannot be a SKU: 1 to %d of A-Z a-z 0-9 . _ -, not "
		    "only dots",
		    sku, SKU_MAX);
	return sku;
}
