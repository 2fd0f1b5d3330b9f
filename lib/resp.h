/* Commands in Redis' own format, RESP. */
#ifndef FLASHSALE_RESP_H
#define FLASHSALE_RESP_H

#include <stddef.h>

#include "redis.h"

/* A command as it goes over the wire, to be freed, and its length. NULL: out
 * of memory, or longer than INT_MAX. */
char *resp_format(const struct redis_argument *, size_t n, int *len);

#endif
