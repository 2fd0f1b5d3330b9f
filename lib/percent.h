/* Percent-encoding, as in URLs.  Pure. */
#ifndef FLASHSALE_PERCENT_H
#define FLASHSALE_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Copy from..end with its %XX decoded.  Fails when it does not fit in size
 * bytes with its NUL, when an escape is malformed and for control characters,
 * NUL among them.
 */
bool percent_decode(const char *from, const char *end, char *buf, size_t size);

#endif
