/* Points in time as people write them. Pure: the caller says what is now. */
#ifndef FLASHSALE_WHEN_H
#define FLASHSALE_WHEN_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define WHEN_SIZE 32 /* of a formatted time */

/* For messages about a time that cannot be read. */
#define WHEN_FORMS                                                       \
	"\"now\", \"+90s\", \"+5m\", \"+2h\", \"+1d\" or RFC 3339 like " \
	"\"2026-11-27T08:00:00Z\""

/* Milliseconds since 1970, from one of the WHEN_FORMS.  ERR_BAD_INPUT. */
enum err when_parse(const char *text, int64_t now_ms, int64_t *ms) MUST_CHECK;

/* "2026-11-27T08:00:00Z"; "" for 0. */
void when_format(int64_t ms, char text[WHEN_SIZE]);

#endif
