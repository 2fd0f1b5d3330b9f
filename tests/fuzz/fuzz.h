/*
 * What all fuzzers share: how a broken promise is told to libFuzzer, and how
 * one input is taken apart into several.
 */
#ifndef FLASHSALE_TESTS_FUZZ_H
#define FLASHSALE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libFuzzer calls these. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for every input, whatever it is. */
#define MUST(promise)                                                    \
	do {                                                             \
		if (!(promise)) {                                        \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, \
			    __LINE__, #promise);                         \
			abort();                                         \
		}                                                        \
	} while (0)

/* A copy of exactly that size, so that one byte too many read is noticed. */
static inline void *
fuzz_bytes(const void *data, size_t len)
{
	void *copy = malloc(len > 0 ? len : 1);

	MUST(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

/* The same as a C string; what is behind a NUL is not part of it. */
static inline char *
fuzz_text(const void *data, size_t len)
{
	char *copy = malloc(len + 1);

	MUST(copy != NULL);
	if (len > 0)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

/* NUL-terminated within its buffer, and free of control characters? */
static inline bool
fuzz_is_line(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return len < size;
}

#endif
