/*
 * REDIS_URL, MYSQL_URL, SQS_QUEUE_URL: what is accepted fits its place and,
 * written again, means the same; what is refused is told without a password.
 */
#include "fuzz.h"

#include "db.h"
#include "redis_url.h"
#include "sqs_endpoint.h"

/* What the dictionary has for a password. */
#define PASSWORD "hunter2"

/* Room for every field, each byte as "%XX". */
#define URL_SIZE 16384

static void
must_be_reason(const char *why, size_t size)
{
	MUST(why[0] != '\0' && strnlen(why, size) < size);
	MUST(strstr(why, PASSWORD) == NULL);
}

static const char *
encode(const char *text, char *out)
{
	char *end = out;

	*out = '\0';
	for (; *text != '\0'; text++)
		end += snprintf(end, 4, "%%%02X", (unsigned char)*text);
	return out;
}

/* --- Redis --- */

static size_t
write_login(const struct redis_address *a, char *url)
{
	char user[512], password[2048];

	if (a->user[0] == '\0' && a->password[0] == '\0')
		return 0;
	return (size_t)snprintf(url, URL_SIZE, "%s:%s@", encode(a->user, user),
	    encode(a->password, password));
}

static void
write_redis_url(const struct redis_address *a, char *url)
{
	char place[1024];
	size_t n;

	if (a->path[0] != '\0') {
		snprintf(url, URL_SIZE, "unix:///%s?db=%d",
		    encode(a->path + 1, place), a->db);
		return;
	}
	n = (size_t)snprintf(url, URL_SIZE, "redis://");
	n += write_login(a, url + n);
	snprintf(url + n, URL_SIZE - n, "[%s]:%d/%d", encode(a->host, place),
	    a->port, a->db);
}

static void
write_sentinel_url(const struct redis_url *u, char *url)
{
	const struct redis_address *first = &u->sentinels[0];
	char text[2048];
	size_t n = (size_t)snprintf(url, URL_SIZE, "redis+sentinel://");

	n += write_login(&u->server, url + n);
	for (size_t i = 0; i < u->sentinels_n; i++)
		n += (size_t)snprintf(url + n, URL_SIZE - n, "%s[%s]:%d",
		    i > 0 ? "," : "", encode(u->sentinels[i].host, text),
		    u->sentinels[i].port);
	n += (size_t)snprintf(url + n, URL_SIZE - n, "/%s/%d",
	    encode(u->master, text), u->server.db);
	n += (size_t)snprintf(url + n, URL_SIZE - n, "?sentinel_user=%s",
	    encode(first->user, text));
	snprintf(url + n, URL_SIZE - n, "&sentinel_password=%s",
	    encode(first->password, text));
}

static void
must_be_address(const struct redis_address *a)
{
	if (a->path[0] == '\0') {
		MUST(a->host[0] != '\0');
		MUST(a->port >= 1 && a->port <= 65535);
	} else
		MUST(a->path[0] == '/');
	MUST(a->db >= 0 && a->db <= 65535);
}

static void
must_be_same(const struct redis_address *a, const struct redis_address *b)
{
	MUST(strcmp(a->path, b->path) == 0);
	MUST(strcmp(a->host, b->host) == 0);
	MUST(a->port == b->port && a->db == b->db);
	MUST(strcmp(a->user, b->user) == 0);
	MUST(strcmp(a->password, b->password) == 0);
}

static void
check_redis(const char *text)
{
	static struct redis_url u, again;
	char why[256] = "", url[URL_SIZE];

	if (redis_url_parse(text, &u, why, sizeof(why)) != ERR_OK) {
		must_be_reason(why, sizeof(why));
		return;
	}
	MUST((u.master[0] == '\0') == (u.sentinels_n == 0));
	if (u.sentinels_n == 0) {
		must_be_address(&u.server);
		write_redis_url(&u.server, url);
	} else
		write_sentinel_url(&u, url);
	MUST(redis_url_parse(url, &again, why, sizeof(why)) == ERR_OK);
	MUST(strcmp(u.master, again.master) == 0);
	MUST(u.sentinels_n == again.sentinels_n);
	must_be_same(&u.server, &again.server);
	for (size_t i = 0; i < u.sentinels_n; i++) {
		must_be_address(&u.sentinels[i]);
		must_be_same(&u.sentinels[i], &again.sentinels[i]);
	}
}

/* --- MySQL --- */

static void
write_mysql_url(const struct db_address *a, char *url)
{
	char user[512], password[1024], host[1024], socket[512], ca[4096];

	snprintf(url, URL_SIZE, "mysql://%s:%s@[%s]:%u/%s?ssl=%s%s%s%s%s",
	    encode(a->user, user), encode(a->password, password),
	    encode(a->host, host), a->port, a->database,
	    a->tls ? "required" : "off", a->socket[0] != '\0' ? "&socket=" : "",
	    encode(a->socket, socket), a->tls_ca[0] != '\0' ? "&ssl-ca=" : "",
	    encode(a->tls_ca, ca));
}

static void
check_mysql(const char *text)
{
	struct db_address a, again;
	char why[256] = "", url[URL_SIZE];

	if (db_parse_url(text, &a, why, sizeof(why)) != ERR_OK) {
		must_be_reason(why, sizeof(why));
		return;
	}
	MUST(a.host[0] != '\0' && fuzz_is_line(a.host, sizeof(a.host)));
	MUST(a.port >= 1 && a.port <= 65535);
	MUST(a.database[0] != '\0');
	MUST(strspn(a.database, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"0123456789_$-") == strlen(a.database));
	write_mysql_url(&a, url);
	MUST(db_parse_url(url, &again, why, sizeof(why)) == ERR_OK);
	MUST(strcmp(a.host, again.host) == 0 && a.port == again.port);
	MUST(strcmp(a.user, again.user) == 0);
	MUST(strcmp(a.password, again.password) == 0);
	MUST(strcmp(a.database, again.database) == 0);
	MUST(strcmp(a.socket, again.socket) == 0);
	MUST(a.tls == again.tls && strcmp(a.tls_ca, again.tls_ca) == 0);
}

/* --- SQS --- */

static bool
consists_of(const char *text, const char *characters)
{
	return text[0] != '\0' && strspn(text, characters) == strlen(text);
}

static void
check_sqs(const char *text)
{
	static const struct config config = {.aws_region = "",
	    .aws_default_region = "",
	    .aws_endpoint_url_sqs = "",
	    .aws_endpoint_url = ""};
	struct sqs_endpoint e, again;
	char why[256] = "";

	if (sqs_endpoint_choose(&e, &config, "", text, why, sizeof(why)) !=
	    ERR_OK) {
		MUST(why[0] != '\0' && strnlen(why, sizeof(why)) < sizeof(why));
		return;
	}
	/* They go into header lines. */
	MUST(consists_of(e.host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]"));
	MUST(consists_of(e.region, "abcdefghijklmnopqrstuvwxyz0123456789-"));
	MUST(strstr(e.url, e.host) != NULL && e.url[strlen(e.url) - 1] == '/');
	MUST(sqs_endpoint_choose(
		 &again, &config, e.region, e.url, why, sizeof(why)) == ERR_OK);
	MUST(strcmp(e.host, again.host) == 0);
	MUST(strcmp(e.region, again.region) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	check_redis(text);
	check_mysql(text);
	check_sqs(text);
	free(text);
	return 0;
}
