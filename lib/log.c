/*
 * The log.  Knows stderr and syslog; knows nothing of who logs.  A record is
 * written with one write(2), so lines of several processes do not mix.
 */
#include "log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 1000 /* of a record before escaping; the rest is cut */
#define LINE_SIZE (4 * TEXT_MAX + 200)

static const char *log_name = "flashsale";
static enum log_level log_threshold = LOG_LEVEL_INFO;
static bool log_to_syslog;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const int level_priorities[] = {
    LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

void
log_init(const char *name, enum log_level level, bool to_syslog)
{
	log_name = name;
	log_threshold = level;
	if (to_syslog && !log_to_syslog)
		openlog(name, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	log_to_syslog = to_syslog;
}

/* Of UTF-8, U+0080 to U+009F: terminals obey these like those of ASCII. */
static bool
is_c1_control(const char *text)
{
	return (unsigned char)text[0] == 0xc2 &&
	       (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0;
}

/* Copy text, control characters as \xNN. Returns the length written. */
static size_t
escape(const char *text, char *out, size_t size)
{
	size_t n = 0;

	for (; *text != '\0' && n + 9 < size; text++) {
		unsigned char c = (unsigned char)*text;

		if (is_c1_control(text))
			n += (size_t)snprintf(out + n, size - n, "\\xc2\\x%02x",
			    (unsigned char)*++text);
		else if (c < 0x20 || c == 0x7f)
			n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
		else
			out[n++] = (char)c;
	}
	out[n] = '\0';
	return n;
}

/* "2026-11-22T14:41:09.123Z" */
static void
format_time(char *out, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static void
write_record(enum log_level level, const char *order_id, const char *text)
{
	char line[LINE_SIZE], when[64], order[64] = "";
	ssize_t written;
	int n;

	if (order_id != NULL)
		snprintf(order, sizeof(order), "order=%.40s ", order_id);
	n = 0;
	if (!log_to_syslog) {
		format_time(when, sizeof(when));
		n = snprintf(line, sizeof(line), "%s %s[%ld] %s ", when,
		    log_name, (long)getpid(), level_names[level]);
	}
	n += snprintf(line + n, sizeof(line) - (size_t)n, "%s", order);
	n += (int)escape(text, line + n, sizeof(line) - (size_t)n - 1);
	if (log_to_syslog) {
		syslog(level_priorities[level], "%s", line);
		return;
	}
	line[n++] = '\n';
	written = write(STDERR_FILENO, line, (size_t)n);
	(void)written; /* nowhere left to complain */
}

void
log_record(enum log_level level, const char *order_id, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list args;

	if (level > log_threshold)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	write_record(level, order_id, text);
}

bool
log_rate_ok(double *last)
{
	struct timespec now;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &now);
	seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	if (*last != 0 && seconds - *last < 1.0)
		return false;
	*last = seconds;
	return true;
}

void
fatal(enum exit_code code, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	write_record(LOG_LEVEL_ERROR, NULL, text);
	exit(code);
}
