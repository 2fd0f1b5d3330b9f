/*
 * The handlers, one per file.  Each gets what follows its path ("" when
 * nothing does) and sees to exactly one reply.
 */
#ifndef FLASHSALE_HANDLERS_H
#define FLASHSALE_HANDLERS_H

#include "fastcgi.h"

void buy_handle(struct exchange *, const char *sku);
void stock_handle(struct exchange *, const char *sku);
void sales_handle(struct exchange *, const char *rest);
void order_handle(struct exchange *, const char *sku_and_order);
void reset_handle(struct exchange *, const char *rest);
void reset_stock_handle(struct exchange *, const char *units);
void admin_stats_handle(struct exchange *, const char *rest);
void admin_state_handle(struct exchange *, const char *sku);
void healthz_handle(struct exchange *, const char *rest);
void readyz_handle(struct exchange *, const char *rest);
void metrics_handle(struct exchange *, const char *rest);

#endif
