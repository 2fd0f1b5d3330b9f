/*
 * The few ways in which something can go wrong, shared by all modules.
 * Zero is success.  The difference between UNAVAILABLE and TIMEOUT is the
 * one that correctness hangs on: after the first nothing has happened, after
 * the second nobody knows.
 */
#ifndef FLASHSALE_ERR_H
#define FLASHSALE_ERR_H

enum err {
	ERR_OK = 0,
	ERR_NOMEM,	 /* out of memory, or a stated maximum is exceeded */
	ERR_BAD_INPUT,	 /* the data given cannot be right */
	ERR_NOT_FOUND,	 /* the named thing does not exist */
	ERR_UNAVAILABLE, /* never reached the peer: nothing happened */
	ERR_TIMEOUT,	 /* sent but not answered: the outcome is unknown */
	ERR_PROTOCOL,	 /* the answer makes no sense */
	ERR_REFUSED,	 /* the peer understood and said no */
	ERR_THROTTLED,	 /* the peer asks us to slow down */
	ERR_RETRY,	 /* somebody came in between: the same again, at once */
	ERR_RECOVERING,	 /* this Redis may have lost it: ask again later */
	ERR_DENIED,	 /* credentials are missing, wrong or too weak */
};

/* Whoever ignores this result has a bug. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))

/* A short lower-case name for logs, for instance "timeout". Never NULL. */
const char *err_name(enum err);

#endif
