/*
 * Amounts of money as people write them, "799.00", and as the engine keeps
 * them: whole numbers of the currency's smallest unit.  Pure.
 */
#ifndef FLASHSALE_MONEY_H
#define FLASHSALE_MONEY_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Digits behind the point, by ISO 4217: 2 for USD, 0 for JPY. */
int money_digits(const char *currency);

/* ERR_BAD_INPUT: no amount, negative, too large or with too many digits. */
enum err money_parse(
    const char *text, const char *currency, int64_t *minor) MUST_CHECK;

void money_format(int64_t minor, const char *currency, char *text, size_t size);

#endif
