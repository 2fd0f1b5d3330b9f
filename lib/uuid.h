/* UUIDs version 7 (RFC 9562): time-ordered, so MySQL appends, not splits. */
#ifndef FLASHSALE_UUID_H
#define FLASHSALE_UUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_TEXT_SIZE 37 /* 36 lower-case characters and NUL */

/* A new one. Aborts when the kernel has no randomness: nothing may go on. */
void uuid_v7(char text[UUID_TEXT_SIZE]);

/* Is text (len bytes) a UUID of any version in lower-case text form? */
bool uuid_is_valid(const char *text, size_t len);

/* When a valid UUIDv7 was made, in ms since 1970; 0 of another version. */
int64_t uuid_time_ms(const char *text);

/* The 16 bytes of a valid one, as in MySQL's BINARY(16). */
void uuid_to_bytes(const char *text, uint8_t bytes[16]);
void uuid_from_bytes(const uint8_t bytes[16], char text[UUID_TEXT_SIZE]);

#endif
