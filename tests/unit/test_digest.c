/* Published answers: FIPS 180, RFC 1321, RFC 4231. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "digest.h"

static void
test_sha256(void **state)
{
	char hex[SHA256_HEX_SIZE];

	(void)state;
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad");
	sha256_hex("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
				 "27ae41e4649b934ca495991b7852b855");
}

static void
test_sha1(void **state)
{
	char hex[SHA1_HEX_SIZE];

	(void)state;
	sha1_hex("abc", 3, hex);
	assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
}

static void
test_md5(void **state)
{
	char hex[MD5_HEX_SIZE];

	(void)state;
	assert_true(md5_hex("message digest", 14, hex));
	assert_string_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0");
}

static void
test_hmac(void **state)
{
	static const char data[] = "what do ya want for nothing?";
	uint8_t bytes[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE];

	(void)state;
	hmac_sha256("Jefe", 4, data, strlen(data), bytes);
	hex_encode(bytes, sizeof(bytes), hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c7"
				 "5a003f089d2739839dec58b964ec3843");
}

static void
test_secret_equals(void **state)
{
	(void)state;
	assert_true(secret_equals("secret", 6, "secret"));
	assert_true(secret_equals("secretary", 6, "secret"));
	assert_false(secret_equals("secret", 5, "secret"));
	assert_false(secret_equals("Secret", 6, "secret"));
	assert_false(secret_equals("", 0, "secret"));
	assert_false(secret_equals("secret\0", 7, "secret"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sha256),
	    cmocka_unit_test(test_sha1),
	    cmocka_unit_test(test_md5),
	    cmocka_unit_test(test_hmac),
	    cmocka_unit_test(test_secret_equals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
