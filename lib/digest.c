/*
 * Digests by OpenSSL.  The algorithms are fetched once a process: asking for
 * them by name at each call costs more than hashing a small order.
 */
#include "digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdlib.h>
#include <string.h>

void
hex_encode(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

/* Without a hash nothing can be signed or checked, so a broken OpenSSL ends
 * the process: it shows at the first call, at start-up. */
static void
digest_or_abort(EVP_MD **cache, const char *name, const void *data, size_t len,
    uint8_t *out)
{
	if (*cache == NULL)
		*cache = EVP_MD_fetch(NULL, name, NULL);
	if (*cache == NULL ||
	    EVP_Digest(data, len, out, NULL, *cache, NULL) != 1)
		abort();
}

void
sha256(const void *data, size_t len, uint8_t out[SHA256_SIZE])
{
	static EVP_MD *algorithm;

	digest_or_abort(&algorithm, "SHA2-256", data, len, out);
}

void
sha256_hex(const void *data, size_t len, char out[SHA256_HEX_SIZE])
{
	uint8_t bytes[SHA256_SIZE];

	sha256(data, len, bytes);
	hex_encode(bytes, sizeof(bytes), out);
}

void
sha1_hex(const void *data, size_t len, char out[SHA1_HEX_SIZE])
{
	static EVP_MD *algorithm;
	uint8_t bytes[SHA1_HEX_SIZE / 2];

	digest_or_abort(&algorithm, "SHA1", data, len, bytes);
	hex_encode(bytes, sizeof(bytes), out);
}

void
hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
    uint8_t out[SHA256_SIZE])
{
	unsigned out_len = SHA256_SIZE;

	if (HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &out_len) ==
	    NULL)
		abort();
}

bool
md5_hex(const void *data, size_t len, char out[MD5_HEX_SIZE])
{
	static EVP_MD *algorithm;
	static bool asked;
	uint8_t bytes[MD5_HEX_SIZE / 2];

	/* MD5 guards against accidents here, not attacks: take it from any
	 * provider, even where FIPS ones are preferred. */
	if (!asked) {
		algorithm = EVP_MD_fetch(NULL, "MD5", "-fips");
		asked = true;
	}
	if (algorithm == NULL ||
	    EVP_Digest(data, len, bytes, NULL, algorithm, NULL) != 1)
		return false;
	hex_encode(bytes, sizeof(bytes), out);
	return true;
}

bool
secret_equals(const char *given, size_t given_len, const char *secret)
{
	uint8_t a[SHA256_SIZE], b[SHA256_SIZE];

	/* Hashes have one length, so not even the secret's length shows. */
	sha256(given, given_len, a);
	sha256(secret, strlen(secret), b);
	return CRYPTO_memcmp(a, b, sizeof(a)) == 0;
}
