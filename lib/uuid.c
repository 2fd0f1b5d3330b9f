/* UUIDs version 7: 48 bits of milliseconds, 74 bits of the kernel's noise. */
#include "uuid.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* getrandom(2) gives up to 256 bytes whole, signals or not. */
static uint8_t pool[256];
static size_t left; /* bytes of it */

/* A forked child must not repeat its parent's. */
static void
forget_pool(void)
{
	left = 0;
}

/* Random bytes come in bulk: one system call for 25 ids. */
static void
random_bytes(uint8_t *out, size_t len)
{
	static bool forks_are_seen;

	if (!forks_are_seen) {
		if (pthread_atfork(NULL, NULL, forget_pool) != 0)
			abort();
		forks_are_seen = true;
	}
	if (left < len) {
		if (getrandom(pool, sizeof(pool), 0) != sizeof(pool))
			abort();
		left = sizeof(pool);
	}
	left -= len;
	memcpy(out, pool + left, len);
}

void
uuid_v7(char text[UUID_TEXT_SIZE])
{
	uint8_t bytes[16];
	struct timespec now;
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	for (int i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
	random_bytes(bytes + 6, 10);
	bytes[6] = (bytes[6] & 0x0f) | 0x70; /* version 7 */
	bytes[8] = (bytes[8] & 0x3f) | 0x80; /* the RFC's variant */
	uuid_from_bytes(bytes, text);
}

static bool
is_dash_place(size_t i)
{
	return i == 8 || i == 13 || i == 18 || i == 23;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

bool
uuid_is_valid(const char *text, size_t len)
{
	if (len != UUID_TEXT_SIZE - 1)
		return false;
	for (size_t i = 0; i < len; i++)
		if (is_dash_place(i) ? text[i] != '-' : hex_value(text[i]) < 0)
			return false;
	return true;
}

int64_t
uuid_time_ms(const char *text)
{
	uint8_t bytes[16];
	int64_t ms = 0;

	uuid_to_bytes(text, bytes);
	if (bytes[6] >> 4 != 7)
		return 0;
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | bytes[i];
	return ms;
}

void
uuid_to_bytes(const char *text, uint8_t bytes[16])
{
	size_t at = 0;

	for (size_t i = 0; i < 16; i++) {
		if (is_dash_place(at))
			at++;
		bytes[i] = (uint8_t)(hex_value(text[at]) * 16 +
				     hex_value(text[at + 1]));
		at += 2;
	}
}

void
uuid_from_bytes(const uint8_t bytes[16], char text[UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < 16; i++) {
		if (is_dash_place(at))
			text[at++] = '-';
		text[at++] = digits[bytes[i] >> 4];
		text[at++] = digits[bytes[i] & 0x0f];
	}
	text[at] = '\0';
}
