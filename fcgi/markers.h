/*
 * Marker files: what the web server looks at to refuse buyers by itself.
 *
 *   GATE_DIR/PID-UUID/POST/buy/SKU.sold_out   the markers of one gatekeeper
 *   GATE_DIR/PID-UUID/POST/buy/SKU.shut       the same, for another reason
 *   GATE_DIR/1795353362.9 -> PID-UUID         valid in that tenth of a second
 *
 * The file is the body of the answer.  The web server looks for
 * GATE_DIR/{tenth of a second}/{method}{URI}.sold_out, so markers count as
 * long as their owner makes the next link, and no longer: one that is dead or
 * stuck refuses nobody.  What it saw it may remember for that tenth, so a
 * marker is forgotten when MARKERS_MEMORY has passed.  Knows files and time,
 * not what they mean.
 */
#ifndef FLASHSALE_MARKERS_H
#define FLASHSALE_MARKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* What is there stays valid for so long, in seconds, should nobody touch it
 * any more. */
#define MARKERS_LIFE 0.9

/* So long after a marker was removed, in seconds, may a web server refuse by
 * it: to the end of the tenth in which it saw it, and to the end of a turn of
 * its loop, in which its clock stands still. */
#define MARKERS_MEMORY 0.3

struct markers;

/*
 * Make a directory for markers in dir, which exists, and remove those of
 * processes that are gone.  On an error the reason is in why.
 */
enum err markers_open(
    struct markers **, const char *dir, char *why, size_t size) MUST_CHECK;

/* Remove the directory and its links. NULL is fine. */
void markers_close(struct markers *);

/* The name of this directory, which no other has. */
const char *markers_name(const struct markers *);

/* name: "/buy/SKU.sold_out"; it is there whole or not at all. False: it
 * could not be made; to be tried again. The first failure is logged. */
bool markers_put(
    struct markers *, const char *name, const char *body, size_t len);

/* It is not there when this returns. */
void markers_remove(struct markers *, const char *name);

/*
 * Keep the markers valid: to be called ten times a second.  now: ms since
 * 1970, from before the caller looked which of them may stay; should it be
 * stopped after that look, the markers are not extended when it goes on.
 * Where dir was removed, and is there again, they are made in it from now on.
 */
void markers_extend(struct markers *, int64_t now);

#endif
