/* Amounts of money.  Integers only: no price ever passes through a double. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "money.h"

#define MONEY_MAX INT64_C(100000000000000) /* minor units */

/* Currencies whose smallest unit is not a hundredth (ISO 4217). */
static const struct {
	const char *currencies;
	int digits;
} unusual[] = {
    {"BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF", 0},
    {"BHD IQD JOD KWD LYD OMR TND", 3},
    {"CLF UYW", 4},
};

int
money_digits(const char *currency)
{
	size_t i;

	if (strlen(currency) == 3)
		for (i = 0; i < sizeof(unusual) / sizeof(*unusual); i++)
			if (strstr(unusual[i].currencies, currency) != NULL)
				return unusual[i].digits;
	return 2;
}

/* Digits from *s on, appended to *value; how many there were. */
static int
take_digits(const char **s, int64_t *value)
{
	int n = 0;

	for (; **s >= '0' && **s <= '9' && *value < MONEY_MAX; (*s)++, n++)
		*value = *value * 10 + (**s - '0');
	return n;
}

enum err
money_parse(const char *text, const char *currency, int64_t *minor)
{
	int digits = money_digits(currency), given = 0;
	int64_t value = 0;

	if (take_digits(&text, &value) == 0)
		return ERR_BAD_INPUT;
	if (*text == '.') {
		text++;
		given = take_digits(&text, &value);
		if (given == 0 || given > digits)
			return ERR_BAD_INPUT;
	}
	for (; given < digits && value < MONEY_MAX; given++)
		value *= 10;
	if (*text != '\0' || value >= MONEY_MAX)
		return ERR_BAD_INPUT;
	*minor = value;
	return ERR_OK;
}

void
money_format(int64_t minor, const char *currency, char *text, size_t size)
{
	int digits = money_digits(currency), i;
	int64_t unit = 1;

	for (i = 0; i < digits; i++)
		unit *= 10;
	if (digits == 0)
		snprintf(text, size, "%" PRId64 " %s", minor, currency);
	else
		snprintf(text, size, "%" PRId64 ".%0*" PRId64 " %s",
		    minor / unit, digits, minor % unit, currency);
}
