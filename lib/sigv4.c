/*
 * The signature of one shape of request: POST to "/", no query, five signed
 * headers at most.  libcurl has a signer too, but it takes no timestamp, so
 * it could not follow a skewed clock.
 */
#include "sigv4.h"

#include <stdio.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CANONICAL_MAX 8192 /* the session token alone may take 4 KiB */

static const char *
signed_headers(const struct credentials *keys)
{
	if (keys->session_token[0] != '\0')
		return "content-type;host;x-amz-date;x-amz-security-token;"
		       "x-amz-target";
	return "content-type;host;x-amz-date;x-amz-target";
}

static void
hash_canonical_request(const struct sigv4_request *request,
    const struct credentials *keys, const char *date, char out[SHA256_HEX_SIZE])
{
	char text[CANONICAL_MAX], body_hash[SHA256_HEX_SIZE];
	bool token = keys->session_token[0] != '\0';
	int n;

	sha256_hex(request->body, request->body_len, body_hash);
	n = snprintf(text, sizeof(text),
	    "POST\n/\n\ncontent-type:%s\nhost:%s\nx-amz-date:%s\n%s%s%s"
	    "x-amz-target:%s\n\n%s\n%s",
	    request->content_type, request->host, date,
	    token ? "x-amz-security-token:" : "", keys->session_token,
	    token ? "\n" : "", request->target, signed_headers(keys),
	    body_hash);
	/* A cut text gives a signature that the peer refuses: no harm. */
	if (n < 0 || (size_t)n >= sizeof(text))
		n = sizeof(text) - 1;
	sha256_hex(text, (size_t)n, out);
}

/* Four chained HMACs, whose result is good for a day: see the header. */
static void
derive_key(const struct sigv4_request *request, const struct credentials *keys,
    const char *day, const char *scope, struct sigv4_key *cache)
{
	char seed[sizeof(keys->secret_access_key) + 4];
	uint8_t *k = cache->bytes;

	if (strcmp(cache->scope, scope) == 0 &&
	    strcmp(cache->secret, keys->secret_access_key) == 0)
		return;
	snprintf(seed, sizeof(seed), "AWS4%s", keys->secret_access_key);
	hmac_sha256(seed, strlen(seed), day, strlen(day), k);
	hmac_sha256(
	    k, SHA256_SIZE, request->region, strlen(request->region), k);
	hmac_sha256(
	    k, SHA256_SIZE, request->service, strlen(request->service), k);
	hmac_sha256(k, SHA256_SIZE, "aws4_request", strlen("aws4_request"), k);
	snprintf(cache->scope, sizeof(cache->scope), "%s", scope);
	snprintf(cache->secret, sizeof(cache->secret), "%s",
	    keys->secret_access_key);
}

void
sigv4_sign(const struct sigv4_request *request, const struct credentials *keys,
    struct sigv4_key *cache, struct sigv4_headers *out)
{
	char day[9], scope[sizeof(cache->scope)], text[256];
	char request_hash[SHA256_HEX_SIZE], signature[SHA256_HEX_SIZE];
	uint8_t bytes[SHA256_SIZE];
	struct tm utc;

	gmtime_r(&request->when, &utc);
	strftime(out->date, sizeof(out->date), "%Y%m%dT%H%M%SZ", &utc);
	snprintf(day, sizeof(day), "%.8s", out->date);
	snprintf(scope, sizeof(scope), "%s/%s/%s", day, request->region,
	    request->service);

	hash_canonical_request(request, keys, out->date, request_hash);
	snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s/aws4_request\n%s",
	    out->date, scope, request_hash);
	derive_key(request, keys, day, scope, cache);
	hmac_sha256(cache->bytes, SHA256_SIZE, text, strlen(text), bytes);
	hex_encode(bytes, sizeof(bytes), signature);
	snprintf(out->authorization, sizeof(out->authorization),
	    ALGORITHM " Credential=%s/%s/aws4_request, SignedHeaders=%s, "
		      "Signature=%s",
	    keys->access_key_id, scope, signed_headers(keys), signature);
}
