/*
 * Redis' Sentinels, asked once a second where the master is.  They answer
 * each for himself, and one that is cut off may be late: the answer with the
 * highest configuration epoch holds, which is how they settle it among
 * themselves.
 */
#ifndef FLASHSALE_SENTINEL_H
#define FLASHSALE_SENTINEL_H

#include <ev.h>

#include "err.h"
#include "redis_url.h"

struct sentinel;

/* The master is there now: called when that is another place than before.
 * What they say may be late: make sure that it is a master. */
typedef void sentinel_fn(const char *host, int port, void *arg);

/* The URL is read only during the call. */
enum err sentinel_new(struct sentinel **, struct ev_loop *,
    const struct redis_url *, unsigned timeout_ms, sentinel_fn *,
    void *arg) MUST_CHECK;

/* NULL is fine. */
void sentinel_free(struct sentinel *);

#endif
