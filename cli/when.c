/* Reading and writing points in time; UTC unless an offset says otherwise. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "when.h"

#define AHEAD_MAX_S (10LL * 366 * 86400) /* ten years: beyond is a typo */

/* Exactly n digits, at *s, which moves behind them; -1 when they are not. */
static int
take_digits(const char **s, size_t n)
{
	int value = 0;

	for (; n > 0; n--, (*s)++) {
		if (**s < '0' || **s > '9')
			return -1;
		value = value * 10 + (**s - '0');
	}
	return value;
}

/* n digits of at most max and, unless '\0', the separator behind them. */
static bool
take_field(
    const char **s, size_t n, int min, int max, char separator, int *value)
{
	*value = take_digits(s, n);
	if (*value < min || *value > max)
		return false;
	if (separator == '\0')
		return true;
	return *(*s)++ == separator;
}

/* ".123456": milliseconds, the rest is cut. */
static int
take_fraction(const char **s)
{
	int ms = 0, weight = 100;

	if (**s != '.')
		return 0;
	for ((*s)++; **s >= '0' && **s <= '9'; (*s)++, weight /= 10)
		ms += (**s - '0') * weight;
	return ms;
}

/* "Z" or "+01:00", and then the end. Seconds east of UTC. */
static bool
take_offset(const char *s, int *seconds)
{
	int hours, minutes, sign = *s == '-' ? -1 : 1;

	*seconds = 0;
	if (*s == 'Z' || *s == 'z')
		return s[1] == '\0';
	if (*s != '+' && *s != '-')
		return false;
	s++;
	if (!take_field(&s, 2, 0, 23, ':', &hours) ||
	    !take_field(&s, 2, 0, 59, '\0', &minutes))
		return false;
	*seconds = sign * (hours * 3600 + minutes * 60);
	return *s == '\0';
}

static enum err
parse_rfc3339(const char *s, int64_t *ms)
{
	struct tm tm = {0};
	int year, month, offset, fraction, day;
	time_t seconds;

	if (!take_field(&s, 4, 1970, 9999, '-', &year) ||
	    !take_field(&s, 2, 1, 12, '-', &month) ||
	    !take_field(&s, 2, 1, 31, '\0', &day) ||
	    (*s != 'T' && *s != 't' && *s != ' '))
		return ERR_BAD_INPUT;
	s++;
	if (!take_field(&s, 2, 0, 23, ':', &tm.tm_hour) ||
	    !take_field(&s, 2, 0, 59, ':', &tm.tm_min) ||
	    !take_field(&s, 2, 0, 60, '\0', &tm.tm_sec))
		return ERR_BAD_INPUT;
	fraction = take_fraction(&s);
	if (!take_offset(s, &offset))
		return ERR_BAD_INPUT;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	seconds = timegm(&tm);
	if (tm.tm_mday != day) /* the 31st of April */
		return ERR_BAD_INPUT;
	*ms = ((int64_t)seconds - offset) * 1000 + fraction;
	return *ms < 0 ? ERR_BAD_INPUT : ERR_OK;
}

static enum err
parse_ahead(const char *s, int64_t now_ms, int64_t *ms)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t digits = strspn(s, "0123456789"), i;
	int64_t n;

	if (digits == 0 || digits > 10 || s[digits] == '\0' ||
	    s[digits + 1] != '\0')
		return ERR_BAD_INPUT;
	n = strtoll(s, NULL, 10);
	for (i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (units[i].unit == s[digits] &&
		    n * units[i].seconds <= AHEAD_MAX_S) {
			*ms = now_ms + n * units[i].seconds * 1000;
			return ERR_OK;
		}
	return ERR_BAD_INPUT;
}

enum err
when_parse(const char *text, int64_t now_ms, int64_t *ms)
{
	if (strcmp(text, "now") == 0) {
		*ms = now_ms;
		return ERR_OK;
	}
	if (text[0] == '+')
		return parse_ahead(text + 1, now_ms, ms);
	return parse_rfc3339(text, ms);
}

void
when_format(int64_t ms, char text[WHEN_SIZE])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	text[0] = '\0';
	if (ms != 0 && gmtime_r(&seconds, &tm) != NULL)
		strftime(text, WHEN_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
