/*
 * What the commands share: their table entry, their way of reading options
 * and of complaining.  Each command lives in the file of its name.
 */
#ifndef FLASHSALE_COMMAND_H
#define FLASHSALE_COMMAND_H

#include <stdint.h>

#include "config.h"
#include "err.h"

struct command {
	const char *name;
	const char *synopsis; /* after the name in the usage line */
	const char *purpose;  /* one line, for the list of commands */
	const char *options;  /* for its help, one or more lines each */
	const char *notes;    /* the same, after the options; or NULL */
	/* argv[0] is "flashsale NAME", for getopt's messages. */
	int (*run)(const struct config *, int argc, char **argv);
};

extern const struct command command_open, command_reset, command_pause,
    command_resume, command_close, command_status, command_books,
    command_verify, command_repair, command_drain, command_attack,
    command_migrate;

/* Print the help on stdout and leave with 0. */
void command_help(const struct command *) NORETURN;

/* Say what is wrong with the command line, point to --help, exit 64. */
void command_misused(const struct command *, const char *fmt, ...)
    PRINTF_LIKE(2, 3) NORETURN;

/* After getopt_long has complained itself. */
void command_hint(const struct command *) NORETURN;

/* A whole decimal number within the range, or command_misused(). */
int64_t command_number(const struct command *, const char *option,
    const char *text, int64_t min, int64_t max);

/*
 * The SKU that a command is about: its one argument, or fallback when there
 * is none (NULL: there must be one).  Checked; or command_misused().
 */
const char *command_sku(
    const struct command *, int argc, char **argv, const char *fallback);

#endif
