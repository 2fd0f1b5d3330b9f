/* Where a Redis is, as its URL says.  Pure. */
#ifndef FLASHSALE_REDIS_URL_H
#define FLASHSALE_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

#define SENTINELS_MAX 9

/* One server. */
struct redis_address {
	char path[108]; /* of a unix socket; "" = TCP */
	char host[256];
	int port;
	char user[129];	    /* "" = none */
	char password[513]; /* "" = none */
	int db;
};

struct redis_url {
	struct redis_address server; /* no path, no host: ask the Sentinels */
	char master[65]; /* its name among the Sentinels; "" = no Sentinels */
	struct redis_address sentinels[SENTINELS_MAX];
	size_t sentinels_n;
};

/*
 * redis://[[user]:password@]host[:port][/db], unix:///path[?db=N] or /path, or
 * redis+sentinel://[[user]:password@]host[:port][,host[:port]...]/master[/db]
 *     [?sentinel_user=...][&sentinel_password=...]
 * where user and password are the master's and its replicas', and the
 * Sentinels' own come as options.  All but numbers may be percent-encoded, an
 * IPv6 host is in brackets.
 */
enum err redis_url_parse(
    const char *url, struct redis_url *, char *why, size_t why_size) MUST_CHECK;

#endif
