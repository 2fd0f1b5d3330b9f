/*
 * Refusals and errors as RFC 9457 problem+json with a stable code.  Clients
 * script against the codes: they never change their meaning.
 */
#ifndef FLASHSALE_PROBLEM_H
#define FLASHSALE_PROBLEM_H

#include "err.h"
#include "fastcgi.h"

enum problem {
	PROBLEM_SOLD_OUT,
	PROBLEM_LIMIT_REACHED,
	PROBLEM_NOT_OPEN,
	PROBLEM_CLOSED,
	PROBLEM_PAUSED,
	PROBLEM_NO_SUCH_SALE,
	PROBLEM_NO_SUCH_ORDER,
	PROBLEM_NOT_FOUND,
	PROBLEM_BAD_JSON,
	PROBLEM_BAD_FIELD,
	PROBLEM_BODY_TOO_LARGE,
	PROBLEM_BAD_CONTENT_TYPE,
	PROBLEM_METHOD_NOT_ALLOWED,
	PROBLEM_UNAUTHORIZED,
	PROBLEM_UNAVAILABLE,
	PROBLEM_RECOVERING,
	PROBLEM_INTERNAL,
	PROBLEM_COUNT,
};

struct problem_detail {
	const char *detail;  /* a sentence for people; NULL = the usual one */
	const char *sku;     /* NULL = none; has to be valid */
	const char *field;   /* of PROBLEM_BAD_FIELD */
	const char *headers; /* further header lines, or NULL */
	int64_t remaining;   /* units; of PROBLEM_SOLD_OUT */
	int64_t limit;	     /* units for a buyer; of PROBLEM_LIMIT_REACHED */
	int64_t opens_at;    /* ms since 1970; of PROBLEM_NOT_OPEN */
	/* further members, each with its leading comma and without anything
	 * that would need escaping, or NULL: ",\"remaining\":1" */
	const char *members;
};

#define PROBLEM_MAX 1024 /* bytes of a body, and NUL */

/* Write the body that problem_reply() sends. Returns its length. */
size_t problem_compose(
    char *body, size_t size, enum problem, const struct problem_detail *);

/* Answer, and count the answer. None of the texts may need JSON escapes;
 * NULL: there is nothing to add to the usual ones. */
void problem_reply(
    struct exchange *, enum problem, const struct problem_detail *);

/* Answer that Redis did not give what it was asked for (lib/sale.h).  absence:
 * what ERR_NOT_FOUND means here. */
void problem_reply_failure(struct exchange *, enum err, enum problem absence);

#endif
