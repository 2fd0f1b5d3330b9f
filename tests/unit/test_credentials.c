/* Where the keys come from, when they are fetched again, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "aws_config.h"
#include "credentials.h"
#include "credentials_fetch.h"
#include "credentials_profile.h"
#include "fake_server.h"

static struct {
	unsigned called;
	char access_key_id[32], token[32], why[512];
} seen;

static void
on_keys(const struct credentials *keys, const char *why, void *arg)
{
	seen.called++;
	seen.access_key_id[0] = seen.token[0] = seen.why[0] = '\0';
	if (keys != NULL) {
		snprintf(seen.access_key_id, sizeof(seen.access_key_id),
		    "%.31s", keys->access_key_id);
		snprintf(seen.token, sizeof(seen.token), "%.31s",
		    keys->session_token);
	} else {
		snprintf(seen.why, sizeof(seen.why), "%s", why);
	}
	if (arg != NULL)
		ev_break(arg, EVBREAK_ALL);
}

/* --- Profile files --- */

static struct profile
parse(const char *name, enum profile_file file, const char *text)
{
	struct profile profile;
	char why[256];

	memset(&profile, 0, sizeof(profile));
	assert_int_equal(profile_parse(&profile, name, file, text, strlen(text),
			     why, sizeof(why)),
	    ERR_OK);
	return profile;
}

static void
test_profile_text(void **state)
{
	static const char text[] = "\xef\xbb\xbf# a comment\r\n"
				   "[default]\r\n"
				   "aws_access_key_id = AKIA1 # which one\r\n"
				   "aws_secret_access_key=a/b+c=\r\n"
				   "  ; indented comment\n"
				   "s3 =\n"
				   "    region = not-1-ours\n"
				   "\n"
				   "[ other ] ; two\n"
				   "\taws_access_key_id = nested\n"
				   "aws_access_key_id=AKIA2\n"
				   "aws_session_token = x#y;z\n"
				   "region = eu-west-1";
	struct profile profile;

	(void)state;
	profile = parse("default", PROFILE_CREDENTIALS_FILE, text);
	assert_true(profile.found);
	assert_string_equal(profile.access_key_id, "AKIA1");
	assert_string_equal(profile.secret_access_key, "a/b+c=");
	assert_string_equal(profile.region, "");
	profile = parse("other", PROFILE_CREDENTIALS_FILE, text);
	assert_true(profile.found);
	assert_string_equal(profile.access_key_id, "AKIA2");
	assert_string_equal(profile.session_token, "x#y;z");
	assert_string_equal(profile.region, "eu-west-1");
	profile = parse("third", PROFILE_CREDENTIALS_FILE, text);
	assert_false(profile.found);
	assert_string_equal(profile.access_key_id, "");
}

/* In the config file all sections but default carry the word profile. */
static void
test_profile_sections(void **state)
{
	static const char text[] = "[profile  one]\nregion = one-1\n"
				   "[two]\nregion = two-2\n"
				   "[default]\nregion = three-3\n"
				   "[sso-session one]\nregion = four-4\n"
				   "[broken\nregion = five-5\n";
	struct profile profile;

	(void)state;
	profile = parse("one", PROFILE_CONFIG_FILE, text);
	assert_string_equal(profile.region, "one-1");
	assert_false(parse("two", PROFILE_CONFIG_FILE, text).found);
	assert_true(parse("two", PROFILE_CREDENTIALS_FILE, text).found);
	assert_false(parse("one", PROFILE_CREDENTIALS_FILE, text).found);
	profile = parse("default", PROFILE_CONFIG_FILE, text);
	assert_string_equal(profile.region, "three-3");
	profile = parse("default", PROFILE_CONFIG_FILE,
	    "[profile default]\nsso_start_url = x\n");
	assert_true(profile.found);
	assert_true(profile.sso);
}

/* The key stands in a header line. */
static void
test_profile_with_a_bare_return(void **state)
{
	static const char text[] =
	    "[default]\naws_access_key_id = k\rX-Evil: 1\n";
	struct profile profile;
	char why[256];

	(void)state;
	memset(&profile, 0, sizeof(profile));
	assert_int_equal(
	    profile_parse(&profile, "default", PROFILE_CREDENTIALS_FILE, text,
		strlen(text), why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_non_null(strstr(why, "aws_access_key_id"));
}

static void
test_profile_too_long(void **state)
{
	char text[300] = "[default]\nregion = ", why[256] = "";
	struct profile profile;
	size_t len = strlen(text);

	(void)state;
	memset(&profile, 0, sizeof(profile));
	memset(text + len, 'x', 100);
	assert_int_equal(
	    profile_parse(&profile, "default", PROFILE_CREDENTIALS_FILE, text,
		len + 100, why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_non_null(strstr(why, "region"));
}

static void
write_file(char path[32], const char *text)
{
	int fd;

	snprintf(path, 32, "/tmp/flashsale-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* --- Choosing --- */

/* The access key id that this configuration comes to, without a fetch. */
static const char *
static_key(const struct config *config)
{
	struct credential_provider *provider;
	struct ev_loop *loop = ev_loop_new(0);
	char why[256];

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(credentials_new(&provider, loop, config, "eu-west-1",
			     why, sizeof(why)),
	    ERR_OK);
	credentials_get(provider, on_keys, NULL);
	assert_int_equal(seen.called, 1); /* at once */
	credentials_expire(provider);	  /* does not harm such keys */
	credentials_get(provider, on_keys, NULL);
	assert_int_equal(seen.called, 2);
	credentials_free(provider);
	ev_loop_destroy(loop);
	return seen.access_key_id;
}

static void
refused(const struct config *config, const char *part)
{
	struct credential_provider *provider = NULL;
	struct ev_loop *loop = ev_loop_new(0);
	char why[512] = "";

	assert_int_equal(credentials_new(&provider, loop, config, "eu-west-1",
			     why, sizeof(why)),
	    ERR_BAD_INPUT);
	assert_null(provider);
	assert_non_null(strstr(why, part));
	ev_loop_destroy(loop);
}

static void
test_precedence(void **state)
{
	struct config config = aws_config_blank();
	char keys[32], settings[32];

	(void)state;
	write_file(keys,
	    "[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n"
	    "[half]\naws_access_key_id=HALF\n"
	    "[empty]\n");
	write_file(settings,
	    "[default]\naws_access_key_id=WEAKER\nregion=eu-west-3\n"
	    "[profile mine]\naws_access_key_id=MINE\n"
	    "aws_secret_access_key=s\naws_session_token=t\n"
	    "[profile role]\nrole_arn=arn:aws:iam::1:role/r\n"
	    "source_profile=default\n"
	    "[profile process]\ncredential_process=/bin/true\n"
	    "[profile sso]\nsso_session=x\n");
	config.aws_shared_credentials_file = keys;
	config.aws_config_file = settings;
	assert_string_equal(static_key(&config), "FILE");
	config.aws_profile = "mine";
	assert_string_equal(static_key(&config), "MINE");
	assert_string_equal(seen.token, "t");
	config.aws_access_key_id = "ENVIRONMENT";
	refused(&config, "must both be set");
	config.aws_secret_access_key = "s";
	assert_string_equal(static_key(&config), "ENVIRONMENT");
	config.aws_access_key_id = "";
	refused(&config, "AWS_ACCESS_KEY_ID");

	config.aws_secret_access_key = "";
	config.aws_profile = "half";
	refused(&config, "must both be set");
	config.aws_profile = "missing";
	refused(&config, "\"missing\"");
	config.aws_profile = "role";
	refused(&config, "role_arn");
	config.aws_profile = "process";
	refused(&config, "credential_process");
	config.aws_profile = "sso";
	refused(&config, "sso");
	config.aws_profile = "empty";
	refused(&config, "no AWS credentials");
	unlink(keys);
	unlink(settings);
}

static void
test_refused_settings(void **state)
{
	static const char *const uris[] = {"http://example.com/",
	    "http://localhost.example.com/", "ftp://localhost/", "/path",
	    "http://169.254.170.200/", "http://[::2]/"};
	struct config config = aws_config_blank();

	(void)state;
	refused(&config, "no AWS credentials");
	config.aws_ec2_metadata_disabled = "";
	config.aws_endpoint_url_sqs = "http://localhost:9324";
	refused(&config, "a local server takes any");
	config.aws_web_identity_token_file = "/some/file";
	refused(&config, "AWS_ROLE_ARN");
	config.aws_web_identity_token_file = "";
	config.aws_container_credentials_relative_uri = "no-slash";
	refused(&config, "RELATIVE_URI");
	config.aws_container_credentials_relative_uri = "";
	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		config.aws_container_credentials_full_uri = uris[i];
		refused(&config, "FULL_URI");
	}
	config.aws_container_credentials_full_uri = "https://example.com/";
	config.aws_container_authorization_token = "a\nb";
	refused(&config, "AUTHORIZATION_TOKEN");
}

/* --- The answers --- */

static void
test_read_json(void **state)
{
	static const char good[] =
	    "{\"Code\":\"Success\",\"AccessKeyId\":\"A\","
	    "\"SecretAccessKey\":\"S\",\"Token\":\"T\","
	    "\"Expiration\":\"2026-01-01T00:00:00Z\"}";
	static const char *const bad[] = {"", "[]", "{}",
	    "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}",
	    "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\"}",
	    ("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\",\"Token\":\"T\","
	     "\"Expiration\":\"soon\"}"),
	    /* what would begin a header line of its own */
	    ("{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"S\","
	     "\"Token\":\"T\\r\\nX: y\","
	     "\"Expiration\":\"2026-01-01T00:00:00Z\"}")};
	struct fetched fetched;
	char why[128];

	(void)state;
	assert_int_equal(
	    fetch_read_json(good, strlen(good), &fetched, why, sizeof(why)),
	    ERR_OK);
	assert_string_equal(fetched.keys.access_key_id, "A");
	assert_string_equal(fetched.keys.secret_access_key, "S");
	assert_string_equal(fetched.keys.session_token, "T");
	assert_int_equal(fetched.expires_at, 1767225600);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(fetch_read_json(bad[i], strlen(bad[i]),
				     &fetched, why, sizeof(why)),
		    ERR_PROTOCOL);
}

#define STS_ANSWER(expiration)                                                \
	"<AssumeRoleWithWebIdentityResponse><Credentials>"                    \
	"<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey>" \
	"<SessionToken>t</SessionToken><Expiration>" expiration               \
	"</Expiration></Credentials></AssumeRoleWithWebIdentityResponse>"

static void
test_read_xml(void **state)
{
	struct fetched fetched;
	char why[128];

	(void)state;
	assert_int_equal(fetch_read_xml(STS_ANSWER("2026-01-01T00:00:00Z"),
			     &fetched, why, sizeof(why)),
	    ERR_OK);
	assert_string_equal(fetched.keys.access_key_id, "ASIA");
	assert_string_equal(fetched.keys.session_token, "t");
	assert_int_equal(fetched.expires_at, 1767225600);
	assert_int_equal(
	    fetch_read_xml("<ErrorResponse><Error><Code>AccessDenied</Code>",
		&fetched, why, sizeof(why)),
	    ERR_PROTOCOL);
	assert_string_equal(why, "AccessDenied");
	assert_int_equal(
	    fetch_read_xml("<AccessKeyId>A", &fetched, why, sizeof(why)),
	    ERR_PROTOCOL);
}

/* --- Fetching --- */

struct fixture {
	struct ev_loop *loop;
	struct credential_provider *provider;
	struct fake_server server;
	struct config config;
	char body[2][512]; /* answers with an expiry of this moment's choice */
};

static void
start(struct fixture *f, const struct fake_step *steps, size_t n)
{
	memset(&seen, 0, sizeof(seen));
	f->loop = ev_loop_new(0);
	f->config = aws_config_blank();
	fake_start(&f->server, f->loop, steps, n);
}

static void
start_provider(struct fixture *f)
{
	char why[256];

	assert_int_equal(credentials_new(&f->provider, f->loop, &f->config,
			     "eu-west-1", why, sizeof(why)),
	    ERR_OK);
}

static void
stop(struct fixture *f)
{
	credentials_free(f->provider);
	fake_stop(&f->server);
	ev_loop_destroy(f->loop);
}

static void
get_and_wait(struct fixture *f)
{
	seen.called = 0;
	credentials_get(f->provider, on_keys, f->loop);
	if (seen.called == 0)
		ev_run(f->loop, 0);
	else /* a fetch may go on behind it */
		ev_run(f->loop, EVRUN_NOWAIT);
	assert_int_equal(seen.called, 1);
}

static const char *
answer_expiring_in(char body[512], const char *id, long seconds)
{
	time_t then = time(NULL) + seconds;
	struct tm utc;
	char text[32];

	gmtime_r(&then, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
	snprintf(body, 512,
	    "{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"s\","
	    "\"Token\":\"t\",\"Expiration\":\"%s\"}",
	    id, text);
	return body;
}

static void
test_web_identity(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, STS_ANSWER("2099-01-01T00:00:00Z")}};
	struct fixture f;
	char token[32];
	const char *request;

	(void)state;
	start(&f, steps, 1);
	write_file(token, "ey.J+/=\n");
	f.config.aws_web_identity_token_file = token;
	f.config.aws_role_arn = "arn:aws:iam::1:role/r";
	f.config.aws_role_session_name = "me";
	f.config.aws_endpoint_url_sts = f.server.url;
	start_provider(&f);
	get_and_wait(&f);
	assert_string_equal(seen.access_key_id, "ASIA");
	request = f.server.request[0];
	assert_non_null(strstr(request,
	    "\r\n\r\nAction=AssumeRoleWithWebIdentity&Version=2011-06-15&"
	    "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=me&"
	    "WebIdentityToken=ey.J%2B%2F%3D"));
	assert_null(strstr(request, "Authorization"));
	get_and_wait(&f);
	assert_int_equal(f.server.requests, 1); /* kept */
	stop(&f);
	unlink(token);
}

static void
test_container(void **state)
{
	struct fake_step steps[] = {
	    {FAKE_ANSWER, 500, NULL, ""}, {FAKE_ANSWER, 200, NULL, NULL}};
	struct fixture f;
	char token[32], value[64];

	(void)state;
	steps[1].body = answer_expiring_in(f.body[0], "BOX", 3600);
	start(&f, steps, 2);
	write_file(token, "from-the-file\n");
	f.config.aws_container_credentials_full_uri = f.server.url;
	f.config.aws_container_authorization_token = "weaker";
	f.config.aws_container_authorization_token_file = token;
	start_provider(&f);
	/* Two ask, one fetch; its first try fails. */
	credentials_get(f.provider, on_keys, NULL);
	credentials_get(f.provider, on_keys, f.loop);
	ev_run(f.loop, 0);
	assert_int_equal(seen.called, 2);
	assert_string_equal(seen.access_key_id, "BOX");
	assert_int_equal(f.server.requests, 2);
	assert_string_equal(fake_header(f.server.request[1], "Authorization",
				value, sizeof(value)),
	    "from-the-file");
	stop(&f);
	unlink(token);
}

static void
test_instance_metadata(void **state)
{
	struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, "the-token"},
	    {FAKE_ANSWER, 200, NULL, "my-role\n"},
	    {FAKE_ANSWER, 200, NULL, NULL},
	};
	struct fixture f;
	char value[64];

	(void)state;
	steps[2].body = answer_expiring_in(f.body[0], "EC2", 3600);
	start(&f, steps, 3);
	f.config.aws_ec2_metadata_disabled = "false";
	f.config.aws_ec2_metadata_service_endpoint = f.server.url;
	start_provider(&f);
	get_and_wait(&f);
	assert_string_equal(seen.access_key_id, "EC2");
	assert_memory_equal(
	    f.server.request[0], "PUT /latest/api/token HTTP", 26);
	assert_string_equal(
	    fake_header(f.server.request[0],
		"X-aws-ec2-metadata-token-ttl-seconds", value, sizeof(value)),
	    "21600");
	assert_non_null(strstr(f.server.request[2],
	    "GET /latest/meta-data/iam/security-credentials/my-role HTTP"));
	assert_string_equal(
	    fake_header(f.server.request[2], "X-aws-ec2-metadata-token", value,
		sizeof(value)),
	    "the-token");
	stop(&f);
}

static void
test_no_instance_role(void **state)
{
	static const struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, "the-token"},
	    {FAKE_ANSWER, 404, NULL, "none"},
	};
	struct fixture f;

	(void)state;
	start(&f, steps, 2);
	f.config.aws_ec2_metadata_disabled = "";
	f.config.aws_ec2_metadata_service_endpoint = f.server.url;
	start_provider(&f);
	get_and_wait(&f);
	assert_string_equal(seen.access_key_id, "");
	assert_non_null(strstr(seen.why, "404"));
	stop(&f);
}

/* Twelve minutes left: the old keys at once, and a fetch behind them. */
static void
test_advisory_refresh(void **state)
{
	struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, NULL}, {FAKE_ANSWER, 200, NULL, NULL}};
	struct fixture f;

	(void)state;
	steps[0].body = answer_expiring_in(f.body[0], "OLD", 720);
	steps[1].body = answer_expiring_in(f.body[1], "NEW", 3600);
	start(&f, steps, 2);
	f.config.aws_container_credentials_full_uri = f.server.url;
	start_provider(&f);
	get_and_wait(&f);
	get_and_wait(&f);
	assert_string_equal(seen.access_key_id, "OLD");
	for (int i = 0; i < 100 && strcmp(seen.access_key_id, "OLD") == 0;
	     i++) {
		ev_sleep(0.01);
		get_and_wait(&f);
	}
	assert_string_equal(seen.access_key_id, "NEW");
	assert_int_equal(f.server.requests, 2);
	stop(&f);
}

/* Five minutes left: everybody waits, and gets the new ones. */
static void
test_mandatory_refresh(void **state)
{
	struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, NULL}, {FAKE_ANSWER, 200, NULL, NULL}};
	struct fixture f;

	(void)state;
	steps[0].body = answer_expiring_in(f.body[0], "OLD", 300);
	steps[1].body = answer_expiring_in(f.body[1], "NEW", 3600);
	start(&f, steps, 2);
	f.config.aws_container_credentials_full_uri = f.server.url;
	start_provider(&f);
	get_and_wait(&f);
	get_and_wait(&f);
	assert_string_equal(seen.access_key_id, "NEW");
	stop(&f);
}

/* The metadata service has only stale keys: they are used on. */
static void
test_static_stability(void **state)
{
	struct fake_step steps[] = {
	    {FAKE_ANSWER, 200, NULL, "the-token"},
	    {FAKE_ANSWER, 200, NULL, "role"},
	    {FAKE_ANSWER, 200, NULL, NULL},
	};
	struct fixture f;

	(void)state;
	steps[2].body = answer_expiring_in(f.body[0], "STALE", -60);
	start(&f, steps, 3);
	f.config.aws_ec2_metadata_disabled = "";
	f.config.aws_ec2_metadata_service_endpoint = f.server.url;
	start_provider(&f);
	get_and_wait(&f);
	assert_string_equal(seen.access_key_id, "STALE");
	get_and_wait(&f);
	assert_string_equal(seen.access_key_id, "STALE");
	assert_int_equal(f.server.requests, 3);
	stop(&f);
}

static void
test_cancel(void **state)
{
	static const struct fake_step steps[] = {{FAKE_HANG, 0, NULL, NULL}};
	struct fixture f;
	int one, two;

	(void)state;
	start(&f, steps, 1);
	f.config.aws_container_credentials_full_uri = f.server.url;
	start_provider(&f);
	credentials_get(f.provider, on_keys, &one);
	credentials_get(f.provider, on_keys, &two);
	credentials_cancel(f.provider, &one);
	credentials_cancel(f.provider, &one);
	ev_run(f.loop, EVRUN_NOWAIT);
	stop(&f); /* with one still waiting: no callback */
	assert_int_equal(seen.called, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_profile_text),
	    cmocka_unit_test(test_profile_sections),
	    cmocka_unit_test(test_profile_with_a_bare_return),
	    cmocka_unit_test(test_profile_too_long),
	    cmocka_unit_test(test_precedence),
	    cmocka_unit_test(test_refused_settings),
	    cmocka_unit_test(test_read_json),
	    cmocka_unit_test(test_read_xml),
	    cmocka_unit_test(test_web_identity),
	    cmocka_unit_test(test_container),
	    cmocka_unit_test(test_instance_metadata),
	    cmocka_unit_test(test_no_instance_role),
	    cmocka_unit_test(test_advisory_refresh),
	    cmocka_unit_test(test_mandatory_refresh),
	    cmocka_unit_test(test_static_stability),
	    cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
