/* Digests, constant-time comparison: everything we want of OpenSSL. */
#ifndef FLASHSALE_DIGEST_H
#define FLASHSALE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define SHA256_SIZE 32
#define SHA256_HEX_SIZE 65
#define SHA1_HEX_SIZE 41
#define MD5_HEX_SIZE 33

void sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE]);
void sha256_hex(const void *data, size_t len, char out[SHA256_HEX_SIZE]);
void sha1_hex(const void *data, size_t len, char out[SHA1_HEX_SIZE]);
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[SHA256_SIZE]);

/* False when MD5 is not to be had (FIPS): then skip the check it is for. */
bool md5_hex(const void *data, size_t len, char out[MD5_HEX_SIZE]);

void hex_encode(const uint8_t *bytes, size_t len, char *out /* 2*len+1 */);

/* Same text?  The time taken tells nothing of where they differ. */
bool secret_equals(const char *given, size_t given_len, const char *secret);

#endif
