/*
 * Reading a sale's books from all stores, in the order in which orders move,
 * and asking again where they moved on meanwhile: see audit.h.
 */
#ifndef FLASHSALE_INSPECT_H
#define FLASHSALE_INSPECT_H

#include "err.h"

#include "audit.h"
#include "session.h"
#include "survey.h"

/*
 * Fill the audit, ready to be judged.  The queue is told apart: it is one for
 * all sales.  On failure why says more:
 *   ERR_RETRY       it was reset or rebuilt at that moment: ask again
 *   ERR_NOT_FOUND, ERR_RECOVERING, ERR_BAD_INPUT as of survey_look()
 *   ERR_UNAVAILABLE and others: a store cannot be reached
 */
enum err inspect_sale(struct session *, const char *sku, struct audit *,
    struct queue_survey *, char why[WHY_SIZE]) MUST_CHECK;

/* The SKU that was named, or all that have a sale in Redis or MySQL. */
enum err inspect_choose(
    struct session *, const char *sku, struct sku_list *) MUST_CHECK;

/* Nothing in the queue nor among the dead letters, as far as is known. */
bool inspect_queue_is_empty(const struct queue_survey *);

#endif
