#include "resp.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define COUNT_MAX 24 /* bytes of a sign, digits and line end */

/* "*3\r\n" or "$7\r\n". */
static char *
put_count(char *out, char sign, size_t count)
{
	*out++ = sign;
	out = text_put_digits(out, count);
	*out++ = '\r';
	*out++ = '\n';
	return out;
}

/* hiredis has a function for it, which takes a printf() for each argument:
 * a fifth of what the process does for a refusal. */
char *
resp_format(const struct redis_argument *args, size_t n, int *len)
{
	size_t size = COUNT_MAX + 1;
	char *wire, *out;

	for (size_t i = 0; i < n; i++)
		size += COUNT_MAX + args[i].len + 2;
	if (size > INT_MAX || (wire = malloc(size)) == NULL)
		return NULL;
	out = put_count(wire, '*', n);
	for (size_t i = 0; i < n; i++) {
		out = put_count(out, '$', args[i].len);
		memcpy(out, args[i].data, args[i].len);
		out += args[i].len;
		*out++ = '\r';
		*out++ = '\n';
	}
	*len = (int)(out - wire);
	*out = '\0'; /* hiredis looks at what follows a lone word */
	return wire;
}
