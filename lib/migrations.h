/* The tables, as numbered migrations: the files of sql/, built in. */
#ifndef FLASHSALE_MIGRATIONS_H
#define FLASHSALE_MIGRATIONS_H

#include "db.h"
#include "err.h"

/* Told of each migration as it has been applied: 1, "initial". */
typedef void migrations_fn(unsigned version, const char *name, void *arg);

/*
 * Bring the database up to date: connect, create the database when it is
 * missing (if the user may), apply what has not been applied, or all when a
 * table has gone since.  Safe to run from several places at once, and again.
 * *applied counts.  fn may be NULL.  ERR_NOT_FOUND: a table is without one of
 * its columns, and no migration brings that back; db_error() names it.
 * ERR_RETRY: somebody else has been migrating all the time.  Give db_new a
 * timeout of minutes for this: a table may be large.
 */
enum err migrations_apply(
    struct db *, migrations_fn *, void *arg, unsigned *applied) MUST_CHECK;

#endif
