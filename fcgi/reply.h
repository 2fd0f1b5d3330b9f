/* Answers that are not problems. */
#ifndef FLASHSALE_REPLY_H
#define FLASHSALE_REPLY_H

#include <jansson.h>

#include "fastcgi.h"
#include "sale.h"
#include "stats.h"

/* A header line for what everybody may see a second late. */
#define REPLY_A_SECOND_OLD "Cache-Control: public, max-age=1\r\n"

/* JSON with further header lines; takes json over, and counts the answer. */
void reply_json(struct exchange *, int status, const char *headers,
    json_t *json, enum stat_id);

/* A sale as GET /stock shows it; the caller owns it. */
json_t *reply_sale(const struct sale_view *);

#endif
