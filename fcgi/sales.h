/* Looking at all sales at once. */
#ifndef FLASHSALE_SALES_H
#define FLASHSALE_SALES_H

#include <stddef.h>

#include "err.h"
#include "redis.h"
#include "sale.h"

/* So many fit into one reply; of more, the first by their SKU are shown. */
#define SALES_MAX 64

/* Sorted by SKU.  One that is gone meanwhile is left out, and so is a damaged
 * one, which the log tells.  ERR_RECOVERING: this Redis may have lost sales. */
typedef void sales_fn(enum err, const struct sale_view *, size_t n, void *arg);
void sales_look(struct redis *, sales_fn *, void *arg);

#endif
