#include "text.h"

char *
text_put_digits(char *out, uint64_t number)
{
	char digits[TEXT_DIGITS_MAX];
	size_t n = 0;

	do
		digits[n++] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		*out++ = digits[--n];
	return out;
}

void
text_begin(struct text *t, char *buf, size_t size)
{
	t->start = t->at = buf;
	t->end = buf + size - 1;
	*buf = '\0';
}

void
text_add_bytes(struct text *t, const char *piece, size_t len)
{
	size_t room = (size_t)(t->end - t->at);

	if (len > room)
		len = room;
	memcpy(t->at, piece, len);
	t->at += len;
	*t->at = '\0';
}

void
text_add_number(struct text *t, int64_t number)
{
	char digits[1 + TEXT_DIGITS_MAX], *end = digits;

	if (number < 0)
		*end++ = '-';
	end = text_put_digits(
	    end, number < 0 ? -(uint64_t)number : (uint64_t)number);
	text_add_bytes(t, digits, (size_t)(end - digits));
}

static void
add_name(struct text *t, const char *name)
{
	text_add(t, ",\"");
	text_add(t, name);
	text_add(t, "\":");
}

void
text_add_member(struct text *t, const char *name, const char *value)
{
	add_name(t, name);
	text_add(t, "\"");
	text_add(t, value);
	text_add(t, "\"");
}

void
text_add_number_member(struct text *t, const char *name, int64_t value)
{
	add_name(t, name);
	text_add_number(t, value);
}

size_t
text_len(const struct text *t)
{
	return (size_t)(t->at - t->start);
}
