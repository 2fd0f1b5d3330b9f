/*
 * The log: one line a record, to stderr or syslog.
 *
 *   2026-11-22T14:41:09.123Z flashsale-fcgi[812] warn order=0192... text
 *
 * To the journal, where stderr is that, without time, name and pid, but with
 * its priority.
 *
 * Whatever the text carries, control characters are escaped, so no request
 * can forge a line.  Secrets never belong in a log call.
 */
#ifndef FLASHSALE_LOG_H
#define FLASHSALE_LOG_H

#include <stdbool.h>

#include "err.h"
#include "exit_codes.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* Call once in main(). name must live as long as the program. */
void log_init(const char *name, enum log_level level, bool to_syslog);

/* One record. order_id is NULL where no order is concerned. */
void log_record(enum log_level, const char *order_id, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#define log_error(...) log_record(LOG_LEVEL_ERROR, NULL, __VA_ARGS__)
#define log_warn(...) log_record(LOG_LEVEL_WARN, NULL, __VA_ARGS__)
#define log_info(...) log_record(LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_record(LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)
#define log_order_error(id, ...) log_record(LOG_LEVEL_ERROR, id, __VA_ARGS__)

/*
 * May this line be written now?  True at most once a second per *last, which
 * starts as 0: for records that a dead peer would repeat on every request.
 */
bool log_rate_ok(double *last);

/* Start-up only: log and leave. Never in a request. */
void fatal(enum exit_code, const char *fmt, ...) PRINTF_LIKE(2, 3) NORETURN;

#endif
