/* Where a Redis is, as its URL says.  Pure. */
#ifndef FLASHSALE_REDIS_URL_H
#define FLASHSALE_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

struct redis_address {
	char path[108]; /* of a unix socket; "" = TCP */
	char host[256];
	int port;
	char user[129];	    /* "" = none */
	char password[513]; /* "" = none */
	int db;
};

/* redis://[[user]:password@]host[:port][/db], unix:///path[?db=N] or /path;
 * user and password may be percent-encoded, an IPv6 host is in brackets. */
enum err redis_url_parse(const char *url, struct redis_address *, char *why,
    size_t why_size) MUST_CHECK;

#endif
