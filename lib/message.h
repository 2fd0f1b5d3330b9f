/*
 * What travels through the queue: an order, or the definition of a sale.
 * Pure: JSON text in, struct out and back; no I/O.  docs/messages.md is the
 * contract.  A message is a complete fact: it may arrive twice, late or in
 * any order.
 */
#ifndef FLASHSALE_MESSAGE_H
#define FLASHSALE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "uuid.h"

/* Limits in bytes, without the final NUL. */
#define SKU_MAX 64	    /* [A-Za-z0-9._-] */
#define USER_MAX 128	    /* printable ASCII, no space */
#define REQUEST_KEY_MAX 128 /* printable ASCII, no space */
#define NAME_MAX_BYTES 200  /* UTF-8, no control characters */
#define QUANTITY_MAX 1000
#define UNITS_MAX 1000000000
#define PRICE_MAX INT64_C(1000000000000)  /* of a unit, in minor units */
#define TIME_MAX INT64_C(253402300799999) /* the end of year 9999 in ms */
#define MESSAGE_MAX 4096 /* encoded JSON; larger ones are parked unread */

/* What the operator has set. */
enum sale_state { SALE_OPEN, SALE_PAUSED, SALE_CLOSED };

struct sale {
	char id[UUID_TEXT_SIZE]; /* made anew when a SKU is opened or reset */
	char sku[SKU_MAX + 1];
	char name[NAME_MAX_BYTES + 1];
	int64_t revision;    /* grows with every change of the definition */
	int64_t total;	     /* units */
	int64_t limit;	     /* units a buyer may hold; 0 = no limit */
	int64_t opens_at;    /* ms since 1970, 0 = at once */
	int64_t closes_at;   /* ms since 1970, 0 = never */
	int64_t price_minor; /* in the currency's smallest unit */
	char currency[4];    /* ISO 4217 */
	int64_t created_at;  /* ms since 1970 */
	enum sale_state state;
};

struct order {
	char id[UUID_TEXT_SIZE]; /* UUIDv7, made before the reservation */
	char sale_id[UUID_TEXT_SIZE];
	int64_t revision;
	char sku[SKU_MAX + 1];
	int64_t total; /* of the sale, at that revision */
	char user_id[USER_MAX + 1];
	int64_t quantity;
	int64_t price_minor;
	char currency[4];
	char request_key[REQUEST_KEY_MAX + 1]; /* "" = none was given */
	int64_t reserved_at;		       /* ms since 1970 */
};

/* What the ledger keeps of an order, and a rebuilt sale has to know. */
struct ledger_order {
	char id[UUID_TEXT_SIZE];
	char status[16]; /* confirmed, rejected... */
	int64_t quantity;
	char user_id[USER_MAX + 1];
	char request_key[REQUEST_KEY_MAX + 1]; /* "" = none */
	char sale_id[UUID_TEXT_SIZE];
};

enum message_type { MESSAGE_ORDER, MESSAGE_SALE };

struct message {
	enum message_type type;
	union {
		struct order order;
		struct sale sale;
	};
};

/*
 * Encode into buf (at least MESSAGE_MAX + 1 bytes), NUL-terminated; *len is
 * the length without it.  ERR_NOMEM when it would not fit.
 */
enum err message_encode(
    const struct message *, char *buf, size_t size, size_t *len) MUST_CHECK;

/*
 * Decode and validate every field.  On ERR_BAD_INPUT why says what is wrong
 * ("quantity: must be an integer from 1 to 1000").
 */
enum err message_decode(const char *json, size_t len, struct message *,
    char *why, size_t why_size) MUST_CHECK;

/* The field rules, for whoever takes such values from outside. */
bool sku_is_valid(const char *, size_t len);
bool user_id_is_valid(const char *, size_t len);
bool request_key_is_valid(const char *, size_t len);
bool sale_name_is_valid(const char *, size_t len);
bool currency_is_valid(const char *, size_t len);

/* "open", "paused" or "closed", and back. False: none of them. */
const char *sale_state_name(enum sale_state);
bool sale_state_parse(const char *, enum sale_state *);

#endif
