/* Exit statuses of every program, from sysexits(3). In docs/operations.md. */
#ifndef FLASHSALE_EXIT_CODES_H
#define FLASHSALE_EXIT_CODES_H

enum exit_code {
	EXIT_FINE = 0,
	EXIT_FAILED = 1,   /* the command ran; what it checked is not so */
	EXIT_USAGE = 64,   /* unknown command, option or argument */
	EXIT_UNAVAIL = 69, /* Redis, SQS or MySQL cannot be reached */
	EXIT_OSERR = 71,   /* the system refused: fork, socket, memory */
	EXIT_CONFIG = 78,  /* a setting is wrong; the message names it */
};

#endif
