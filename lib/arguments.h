/*
 * The keys and arguments of one script call, put together piece by piece.
 * For those of lib/ who call the scripts; sale.h lists the keys.
 */
#ifndef FLASHSALE_ARGUMENTS_H
#define FLASHSALE_ARGUMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "redis.h"

#define KEY_SIZE (SKU_MAX + 32)
#define NUMBER_SIZE 24
#define ARGUMENTS_BATCH_MAX 500 /* pairs in one call */

/* Texts are borrowed until the call is made. */
struct arguments {
	struct redis_argument list[4 * ARGUMENTS_BATCH_MAX + 24];
	char keys[8][KEY_SIZE];
	char numbers[ARGUMENTS_BATCH_MAX][NUMBER_SIZE];
	size_t n, n_keys, n_numbers;
};

/* Not an initializer: that would clear 50 kB for every request. */
void arguments_init(struct arguments *);

/* fs:{sku}:what */
void arguments_add_key(struct arguments *, const char *sku, const char *what);
void arguments_add_text(struct arguments *, const char *);
/* A negative number stands for "not given" and becomes "". */
void arguments_add_number(struct arguments *, int64_t);
/* NULL becomes "". */
void arguments_add_optional(struct arguments *, const char *);

#endif
