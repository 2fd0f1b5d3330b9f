#include "arguments.h"

#include <string.h>

#include "text.h"

void
arguments_init(struct arguments *a)
{
	a->n = a->n_keys = a->n_numbers = 0;
}

void
arguments_add_text(struct arguments *a, const char *text)
{
	a->list[a->n++] = (struct redis_argument){text, strlen(text)};
}

void
arguments_add_key(struct arguments *a, const char *sku, const char *what)
{
	char *key = a->keys[a->n_keys++], *end = key;

	end = stpcpy(end, "fs:{");
	end = stpcpy(end, sku);
	end = stpcpy(end, "}:");
	end = stpcpy(end, what);
	a->list[a->n++] = (struct redis_argument){key, (size_t)(end - key)};
}

void
arguments_add_number(struct arguments *a, int64_t number)
{
	char *text = a->numbers[a->n_numbers++], *end = text;

	if (number >= 0)
		end = text_put_digits(text, (uint64_t)number);
	a->list[a->n++] = (struct redis_argument){text, (size_t)(end - text)};
}

void
arguments_add_optional(struct arguments *a, const char *text)
{
	arguments_add_text(a, text != NULL ? text : "");
}
