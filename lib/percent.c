/* Percent-encoding to text.  Knows nothing of what the text means. */
#include "percent.h"

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
percent_decode(const char *from, const char *end, char *buf, size_t size)
{
	size_t len = 0;
	int c, high, low;

	for (; from < end; from++) {
		c = (unsigned char)*from;
		if (c == '%') {
			high = end - from > 2 ? hex_digit(from[1]) : -1;
			low = end - from > 2 ? hex_digit(from[2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			from += 2;
		}
		if (c < ' ' || c == 0x7f || len + 1 >= size)
			return false;
		buf[len++] = (char)c;
	}
	buf[len] = '\0';
	return true;
}
