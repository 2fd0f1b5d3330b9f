/*
 * The log.  Knows stderr, the journal and syslog; knows nothing of who logs.  A
 * record is written with one write(2), so lines of several processes do not
 * mix.
 */
#include "log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX 1000 /* of a record before escaping; the rest is cut */
#define LINE_SIZE (4 * TEXT_MAX + 200)

static const char *log_name = "flashsale";
static enum log_level log_threshold = LOG_LEVEL_INFO;
static enum { TO_STDERR, TO_JOURNAL, TO_SYSLOG } log_target;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const int level_priorities[] = {
    LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

/* Does systemd read what we write there?  JOURNAL_STREAM in systemd.exec(5). */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL &&
	       sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
	       st.st_ino == inode;
}

void
log_init(const char *name, enum log_level level, bool to_syslog)
{
	log_name = name;
	log_threshold = level;
	if (to_syslog && log_target != TO_SYSLOG)
		openlog(name, LOG_PID | LOG_NDELAY, LOG_DAEMON);
	if (to_syslog)
		log_target = TO_SYSLOG;
	else
		log_target = stderr_is_journal() ? TO_JOURNAL : TO_STDERR;
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

/* What stands before a record.  The journal knows time, name and pid, and
 * takes the priority from the line, see sd-daemon(3). */
static int
format_start(enum log_level level, char *out, size_t size)
{
	char when[64];

	switch (log_target) {
	case TO_JOURNAL:
		return snprintf(out, size, "<%d>%s ", level_priorities[level],
		    level_names[level]);
	case TO_STDERR:
		format_time(when, sizeof(when));
		return snprintf(out, size, "%s %s[%ld] %s ", when, log_name,
		    (long)getpid(), level_names[level]);
	case TO_SYSLOG:
		break;
	}
	return 0;
}

static void
write_record(enum log_level level, const char *order_id, const char *text)
{
	char line[LINE_SIZE];
	ssize_t written;
	int n = format_start(level, line, sizeof(line));

	if (order_id != NULL)
		n += snprintf(line + n, sizeof(line) - (size_t)n,
		    "order=%.40s ", order_id);
	n += (int)escape(text, line + n, sizeof(line) - (size_t)n - 1);
	if (log_target == TO_SYSLOG) {
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
