/*
 * Text put together piece by piece, for what is written so often that a
 * printf() would show.
 */
#ifndef FLASHSALE_TEXT_H
#define FLASHSALE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What does not fit into the buffer is left out; it ends with NUL always. */
struct text {
	char *start, *at, *end;
};

/* size: bytes of the buffer, at least 1. */
void text_begin(struct text *, char *buf, size_t size);
void text_add_bytes(struct text *, const char *, size_t len);
void text_add_number(struct text *, int64_t);

/* A member of a JSON object, with a comma before it.  Nothing is escaped. */
void text_add_member(struct text *, const char *name, const char *value);
void text_add_number_member(struct text *, const char *name, int64_t value);

/* Here, so that the length of a literal is known when it is compiled. */
static inline void
text_add(struct text *t, const char *piece)
{
	text_add_bytes(t, piece, strlen(piece));
}

/* Bytes so far. */
size_t text_len(const struct text *);

#define TEXT_DIGITS_MAX 20

/* Write the decimal digits, without NUL; returns where they end. */
char *text_put_digits(char *out, uint64_t);

#endif
