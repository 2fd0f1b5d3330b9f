/*
 * The table of settings and everything that reads it.  A new setting is one
 * line here and one field in config.h.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "version.h"

#define FILE_MAX (64 * 1024) /* bytes of a settings file */
#define VALUE_MAX 4096	     /* bytes of one value */

enum kind { TEXT, NUMBER, SWITCH, LEVEL, TARGET, QUEUE };

/*
 * SECRET: it has no flag, because every user of a machine can read ps(1).
 * RESTART: a reload keeps the value of the start, for what was made of it is
 * there for good: the socket, which children there are and how long they have.
 */
enum { PUBLIC = 0, SECRET = 1, RESTART = 2 };

struct setting {
	const char *name;
	enum kind kind;
	size_t offset; /* of the field in struct config */
	const char *fallback;
	unsigned min, max; /* of a NUMBER */
	unsigned programs;
	unsigned traits;
	char letter; /* short flag, or 0 */
	const char *help;
};

#define FIELD(name) offsetof(struct config, name)

/* clang-format off */
static const struct setting settings[] = {
	{"LOG_LEVEL", LEVEL, FIELD(log_level), "info", 0, 0, FOR_ALL, PUBLIC, 0,
	    "error, warn, info or debug"},
	{"LOG_TARGET", TARGET, FIELD(log_syslog), "stderr", 0, 0, FOR_ALL, PUBLIC, 0,
	    "stderr or syslog"},
	{"REDIS_URL", TEXT, FIELD(redis_url), "redis://127.0.0.1:6379", 0, 0, FOR_ALL, SECRET, 0,
	    "redis://[[user]:password@]host[:port][/db], redis+sentinel://[[user]:password@]host[:port],.../master[/db] or unix:///path[?db=N]"},
	{"REDIS_TIMEOUT_MS", NUMBER, FIELD(redis_timeout_ms), "2000", 10, 60000, FOR_ALL, PUBLIC, 0,
	    "time limit of connecting and of every command"},
	{"RECOVERY", SWITCH, FIELD(recovery), "on", 0, 0, FOR_ALL, PUBLIC, 0,
	    "on or off; on: after Redis has restarted or failed over, sales wait until the worker has rebuilt them from MySQL; off only for a Redis that loses nothing (appendfsync always, no replicas)"},
	{"MYSQL_URL", TEXT, FIELD(mysql_url), "", 0, 0, FOR_WORKER | FOR_CLI, SECRET, 0,
	    "mysql://user[:password]@host[:port]/database, or ...@localhost/database?socket=/path"},
	{"MYSQL_TIMEOUT_MS", NUMBER, FIELD(mysql_timeout_ms), "5000", 1000, 60000, FOR_WORKER | FOR_CLI, PUBLIC, 0,
	    "time limit of connecting, reading and writing; keep it well below VISIBILITY_SECONDS"},
	{"QUEUE", QUEUE, FIELD(queue), "sqs", 0, 0, FOR_ALL, RESTART, 0,
	    "sqs or redis; redis: the worker reads the outbox streams of Redis itself, and no SQS setting is looked at; the same for all programs"},
	{"SQS_QUEUE_URL", TEXT, FIELD(sqs_queue_url), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "the queue that carries orders from the responders to the worker"},
	{"SQS_DLQ_URL", TEXT, FIELD(sqs_dlq_url), "", 0, 0, FOR_WORKER | FOR_CLI, RESTART, 0,
	    "its dead-letter queue: the worker writes what can be written of it, and parks the rest"},
	{"SQS_TIMEOUT_MS", NUMBER, FIELD(sqs_timeout_ms), "2000", 100, 60000, FOR_ALL, PUBLIC, 0,
	    "time limit of one SQS call (a long poll may take its wait longer)"},
	{"AWS_REGION", TEXT, FIELD(aws_region), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "AWS region; by default the profile's, else the one in SQS_QUEUE_URL"},
	{"AWS_DEFAULT_REGION", TEXT, FIELD(aws_default_region), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "the same under its older name"},
	{"AWS_ENDPOINT_URL_SQS", TEXT, FIELD(aws_endpoint_url_sqs), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "where SQS answers, for VPC endpoints and local servers"},
	{"AWS_ENDPOINT_URL", TEXT, FIELD(aws_endpoint_url), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "the same for all AWS services"},
	{"AWS_ENDPOINT_URL_STS", TEXT, FIELD(aws_endpoint_url_sts), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "where STS answers (web identity)"},
	{"AWS_CA_BUNDLE", TEXT, FIELD(aws_ca_bundle), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "PEM file of the certificate authorities to trust instead of the system's"},
	{"AWS_ACCESS_KEY_ID", TEXT, FIELD(aws_access_key_id), "", 0, 0, FOR_ALL, SECRET, 0,
	    "access key; without one the profile, web identity, container and EC2 are asked in turn"},
	{"AWS_SECRET_ACCESS_KEY", TEXT, FIELD(aws_secret_access_key), "", 0, 0, FOR_ALL, SECRET, 0,
	    "its secret"},
	{"AWS_SESSION_TOKEN", TEXT, FIELD(aws_session_token), "", 0, 0, FOR_ALL, SECRET, 0,
	    "the session token of temporary keys"},
	{"AWS_PROFILE", TEXT, FIELD(aws_profile), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "profile in the shared configuration files"},
	{"AWS_SHARED_CREDENTIALS_FILE", TEXT, FIELD(aws_shared_credentials_file), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "by default ~/.aws/credentials"},
	{"AWS_CONFIG_FILE", TEXT, FIELD(aws_config_file), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "by default ~/.aws/config"},
	{"AWS_ROLE_ARN", TEXT, FIELD(aws_role_arn), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "role of the web identity (EKS)"},
	{"AWS_ROLE_SESSION_NAME", TEXT, FIELD(aws_role_session_name), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "name of that session"},
	{"AWS_WEB_IDENTITY_TOKEN_FILE", TEXT, FIELD(aws_web_identity_token_file), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "file with the web identity's token (EKS)"},
	{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", TEXT, FIELD(aws_container_credentials_relative_uri), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "where a container asks for keys (ECS)"},
	{"AWS_CONTAINER_CREDENTIALS_FULL_URI", TEXT, FIELD(aws_container_credentials_full_uri), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "the same as a full URL (EKS Pod Identity)"},
	{"AWS_CONTAINER_AUTHORIZATION_TOKEN", TEXT, FIELD(aws_container_authorization_token), "", 0, 0, FOR_ALL, SECRET, 0,
	    "Authorization header of that call"},
	{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", TEXT, FIELD(aws_container_authorization_token_file), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "file with that header"},
	{"AWS_EC2_METADATA_DISABLED", TEXT, FIELD(aws_ec2_metadata_disabled), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "true: never ask EC2 instance metadata"},
	{"AWS_EC2_METADATA_SERVICE_ENDPOINT", TEXT, FIELD(aws_ec2_metadata_service_endpoint), "", 0, 0, FOR_ALL, PUBLIC, 0,
	    "by default http://169.254.169.254"},
	{"DEFAULT_SKU", TEXT, FIELD(default_sku), "iphone_16", 0, 0, FOR_FCGI | FOR_CLI, PUBLIC, 0,
	    "what /buy and /stock without a SKU mean"},
	{"LISTEN", TEXT, FIELD(listen), "", 0, 0, FOR_FCGI, RESTART, 's',
	    "socket path or HOST:PORT; by default the socket inherited as descriptor 0"},
	{"RESPONDERS", NUMBER, FIELD(responders), "0", 0, 256, FOR_FCGI, RESTART, 'n',
	    "responder processes; 0 = as many as cores"},
	{"GATE_DIR", TEXT, FIELD(gate_dir), "", 0, 0, FOR_FCGI, RESTART, 0,
	    "directory of the marker files by which nginx refuses buyers itself; unset = it asks for each"},
	{"ADMIN_TOKEN", TEXT, FIELD(admin_token), "", 0, 0, FOR_FCGI, SECRET, 0,
	    "bearer token of /reset and /reset-stock, 16 to 400 characters; unset = admin is off"},
	{"SEND_CONCURRENCY", NUMBER, FIELD(send_concurrency), "32", 1, 256, FOR_FCGI, PUBLIC, 0,
	    "SQS sends in flight per responder"},
	{"SEND_DEADLINE_MS", NUMBER, FIELD(send_deadline_ms), "3000", 100, 60000, FOR_FCGI, PUBLIC, 0,
	    "a buyer waits no longer for SQS; then the answer is 202 \"reserved\""},
	{"MAX_CONNECTIONS", NUMBER, FIELD(max_connections), "4096", 16, 65536, FOR_FCGI, PUBLIC, 0,
	    "FastCGI connections per responder; further ones wait in the backlog"},
	{"DRAIN_SECONDS", NUMBER, FIELD(drain_seconds), "30", 1, 3600, FOR_FCGI | FOR_WORKER, RESTART, 0,
	    "at most so long may a process take to finish its work when told to stop"},
	{"CONSUMERS", NUMBER, FIELD(consumers), "2", 1, 64, FOR_WORKER, RESTART, 'n',
	    "consumer processes"},
	{"POLLS", NUMBER, FIELD(polls), "4", 1, 32, FOR_WORKER, PUBLIC, 0,
	    "long polls in flight per busy consumer; an idle one has one"},
	{"POLL_WAIT_SECONDS", NUMBER, FIELD(poll_wait_seconds), "10", 0, 20, FOR_WORKER, PUBLIC, 0,
	    "a long poll's wait; stopping the worker takes up to that long"},
	{"VISIBILITY_SECONDS", NUMBER, FIELD(visibility_seconds), "30", 10, 43200, FOR_WORKER, PUBLIC, 0,
	    "so long a received message is hidden from the other consumers"},
	{"HAUL_MAX", NUMBER, FIELD(haul_max), "500", 1, 500, FOR_WORKER, PUBLIC, 0,
	    "messages per MySQL transaction"},
	{"OUTBOX_AGE_MS", NUMBER, FIELD(outbox_age_ms), "5000", 100, 600000, FOR_WORKER, PUBLIC, 0,
	    "what stays longer in the outbox is sent again; keep it above SEND_DEADLINE_MS"},
	{"RECOVERY_SETTLE_MS", NUMBER, FIELD(recovery_settle_ms), "5000", 1000, 600000, FOR_WORKER, PUBLIC, 0,
	    "before it rebuilds, the worker waits so long for orders that were on their way; longer than SEND_DEADLINE_MS"},
	{"METRICS_FILE", TEXT, FIELD(metrics_file), "", 0, 0, FOR_WORKER, PUBLIC, 0,
	    "a file that the worker writes its metrics to every few seconds, for node_exporter's textfile collector (NAME.prom); unset: none"},
	{"BASE_URL", TEXT, FIELD(base_url), "http://127.0.0.1:8080", 0, 0, FOR_CLI, PUBLIC, 0,
	    "the web server that attack turns to"},
};
/* clang-format on */
#define N_SETTINGS (sizeof(settings) / sizeof(settings[0]))

enum {
	OPT_HELP = 1000,
	OPT_VERSION,
	OPT_CHECK,
	OPT_SETTINGS,
	OPT_CONFIG,
	OPT_SETTING
};

/* What the command line said, kept for reloads. */
static struct {
	const struct config_about *about;
	const char *file;
	const char *flags[N_SETTINGS];
	bool check_only;
} given;

/* As it was at the start, and what a reload has found that is different and
 * needs a restart: " GATE_DIR QUEUE". */
static struct config start;
static char waiting[200];

/*
 * Three texts of the file.  Values point into them: those that need a restart
 * into the first one for ever; those of the running configuration into the one
 * of its generation, while a reload fills another.
 */
static char file_texts[3][FILE_MAX + 1];
static int file_generation; /* 0: not reloaded yet */

/* --- One value --- */

static bool
parse_number(const struct setting *s, const char *value, unsigned *out)
{
	unsigned long n;
	char *end;

	if (!isdigit((unsigned char)value[0]))
		return false;
	errno = 0;
	n = strtoul(value, &end, 10);
	if (errno != 0 || *end != '\0' || n < s->min || n > s->max)
		return false;
	*out = (unsigned)n;
	return true;
}

static const char *const levels[] = {"error", "warn", "info", "debug"};

static bool
parse_level(const char *value, enum log_level *out)
{
	for (size_t i = 0; i < 4; i++)
		if (strcmp(value, levels[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	return false;
}

static bool
parse_queue(const char *value, enum config_queue *out)
{
	*out = strcmp(value, "redis") == 0 ? QUEUE_REDIS : QUEUE_SQS;
	return *out == QUEUE_REDIS || strcmp(value, "sqs") == 0;
}

static bool
text_is_clean(const char *value)
{
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || p - value >= VALUE_MAX)
			return false;
	return true;
}

static bool
store_value(struct config *config, const struct setting *s, const char *value)
{
	void *field = (char *)config + s->offset;

	switch (s->kind) {
	case TEXT:
		*(const char **)field = value;
		return text_is_clean(value);
	case NUMBER:
		return parse_number(s, value, field);
	case SWITCH:
		*(bool *)field = strcmp(value, "on") == 0;
		return *(bool *)field || strcmp(value, "off") == 0;
	case LEVEL:
		return parse_level(value, field);
	case TARGET:
		*(bool *)field = strcmp(value, "syslog") == 0;
		return *(bool *)field || strcmp(value, "stderr") == 0;
	case QUEUE:
		return parse_queue(value, field);
	}
	return false;
}

/* The value as it would be written; number has room for one of them. */
static const char *
value_text(
    const struct config *config, const struct setting *s, char number[12])
{
	const void *field = (const char *)config + s->offset;

	switch (s->kind) {
	case TEXT:
		return *(const char *const *)field;
	case NUMBER:
		snprintf(number, 12, "%u", *(const unsigned *)field);
		return number;
	case SWITCH:
		return *(const bool *)field ? "on" : "off";
	case LEVEL:
		return levels[*(const enum log_level *)field];
	case TARGET:
		return *(const bool *)field ? "syslog" : "stderr";
	case QUEUE:
		return config->queue == QUEUE_REDIS ? "redis" : "sqs";
	}
	return "";
}

static void
explain_bad_value(const struct setting *s, const char *value,
    const char *source, char *why, size_t size)
{
	const char *shown = s->traits & SECRET ? "(not shown)" : value;

	if (s->kind == NUMBER)
		snprintf(why, size,
		    "%s=%.60s (from %s): must be a whole number from %u to %u",
		    s->name, shown, source, s->min, s->max);
	else if (s->kind == TEXT)
		snprintf(why, size,
		    "%s=%.60s (from %s): must be printable text of at most "
		    "%d bytes",
		    s->name, shown, source, VALUE_MAX);
	else
		snprintf(why, size, "%s=%.60s (from %s): must be %s", s->name,
		    shown, source, s->help);
}

/* --- The file of NAME=value lines --- */

static const struct setting *
find_setting(const char *name, size_t len)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (strlen(settings[i].name) == len &&
		    memcmp(settings[i].name, name, len) == 0)
			return &settings[i];
	return NULL;
}

static enum err
read_file(const char *path, char *text, char *why, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t n;

	if (file == NULL) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return ERR_BAD_INPUT;
	}
	why[0] = '\0';
	n = fread(text, 1, FILE_MAX + 1, file);
	if (ferror(file)) /* a directory, for one */
		snprintf(why, size, "%s: %s", path, strerror(errno));
	else if (n > FILE_MAX)
		snprintf(why, size, "%s: larger than %d bytes", path, FILE_MAX);
	else if (memchr(text, '\0', n) != NULL)
		snprintf(why, size, "%s: not a text file", path);
	fclose(file);
	if (why[0] != '\0')
		return ERR_BAD_INPUT;
	text[n] = '\0';
	return ERR_OK;
}

/* Cut blanks at both ends and one pair of quotes, in place. */
static char *
trim_value(char *value)
{
	size_t n;

	value += strspn(value, " \t");
	n = strlen(value);
	while (n > 0 && strchr(" \t\r", value[n - 1]) != NULL)
		n--;
	value[n] = '\0';
	if (n >= 2 && (value[0] == '"' || value[0] == '\'') &&
	    value[n - 1] == value[0]) {
		value[n - 1] = '\0';
		value++;
	}
	return value;
}

/* The same but for one letter: another one, one too few or one too many? */
static bool
is_misspelt(const char *name, size_t len, const char *right)
{
	size_t right_len = strlen(right), same = 0;

	while (same < len && name[same] == right[same])
		same++;
	name += same, len -= same;
	right += same, right_len -= same;
	while (
	    len > 0 && right_len > 0 && name[len - 1] == right[right_len - 1])
		len--, right_len--;
	return len <= 1 && right_len <= 1;
}

/* A name that is not ours is no mistake, but it may look like one. */
static void
note_unknown(const char *name, size_t len, unsigned number)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (is_misspelt(name, len, settings[i].name))
			fprintf(stderr,
			    "%s: %s:%u: %.*s is passed over; is it meant to "
			    "be %s?\n",
			    given.about->program, given.file, number, (int)len,
			    name, settings[i].name);
}

/*
 * One line: "NAME=value", "export NAME=value", a comment or nothing.  Names
 * that are not ours are passed over: the file may serve other programs too.
 */
static enum err
parse_line(char *line, unsigned number, const char *values[N_SETTINGS],
    char *why, size_t size)
{
	const struct setting *s;
	char *equals;

	line += strspn(line, " \t\r");
	if (*line == '\0' || *line == '#' || *line == ';')
		return ERR_OK;
	if (strncmp(line, "export ", 7) == 0)
		line += 7 + strspn(line + 7, " ");
	equals = strchr(line, '=');
	if (equals == NULL || equals == line) {
		snprintf(
		    why, size, "%s:%u: must be NAME=value", given.file, number);
		return ERR_BAD_INPUT;
	}
	s = find_setting(line, (size_t)(equals - line));
	if (s != NULL)
		values[s - settings] = trim_value(equals + 1);
	else if (given.check_only)
		note_unknown(line, (size_t)(equals - line), number);
	return ERR_OK;
}

static enum err
parse_file(char *text, const char *values[N_SETTINGS], char *why, size_t size)
{
	unsigned number = 0;
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL) {
		enum err err = parse_line(line, ++number, values, why, size);

		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

/* --- All sources --- */

static const char *
choose_value(
    const struct setting *s, const char *from_file, const char **source)
{
	const char *value = given.flags[s - settings];

	*source = "the command line";
	if (value != NULL && value[0] != '\0')
		return value;
	*source = "the environment";
	value = getenv(s->name);
	if (value != NULL && value[0] != '\0')
		return value;
	*source = given.file;
	if (from_file != NULL && from_file[0] != '\0')
		return from_file;
	*source = "the default";
	return s->fallback;
}

/* Rules that no single row can state. */
static enum err
check_whole(const struct config *config, char *why, size_t size)
{
	size_t token = strlen(config->admin_token);
	const char *sku = config->default_sku;

	if (!sku_is_valid(sku, strlen(sku))) {
		snprintf(why, size,
		    "DEFAULT_SKU=%.64s: must be 1 to 64 of A-Z a-z 0-9 . _ -",
		    sku);
		return ERR_BAD_INPUT;
	}
	if (token > 0 && (token < 16 || token > 400)) {
		snprintf(why, size,
		    "ADMIN_TOKEN: must have 16 to 400 characters (make one "
		    "with: openssl rand -hex 24)");
		return ERR_BAD_INPUT;
	}
	if (given.about->which == FOR_FCGI && config->queue == QUEUE_SQS &&
	    config->send_deadline_ms <= config->sqs_timeout_ms) {
		snprintf(why, size,
		    "SEND_DEADLINE_MS=%u: must be more than SQS_TIMEOUT_MS=%u",
		    config->send_deadline_ms, config->sqs_timeout_ms);
		return ERR_BAD_INPUT;
	}
	if (given.about->which == FOR_WORKER &&
	    config->mysql_timeout_ms * 2 >= config->visibility_seconds * 1000) {
		snprintf(why, size,
		    "MYSQL_TIMEOUT_MS=%u: must be less than half of "
		    "VISIBILITY_SECONDS=%u, or messages come back while they "
		    "are still being written",
		    config->mysql_timeout_ms, config->visibility_seconds);
		return ERR_BAD_INPUT;
	}
	return ERR_OK;
}

/* What needs a restart stays as it was at the start; what would have changed
 * is noted. */
static void
keep_start(struct config *fresh)
{
	size_t len = 0;

	waiting[0] = '\0';
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const struct setting *s = &settings[i];
		char was[12], is[12];
		const char *old = value_text(&start, s, was);

		if (!(s->traits & RESTART) ||
		    strcmp(old, value_text(fresh, s, is)) == 0)
			continue;
		store_value(fresh, s, old);
		if (len < sizeof(waiting))
			len += (size_t)snprintf(waiting + len,
			    sizeof(waiting) - len, " %s", s->name);
	}
}

static enum err
load_all(struct config *config, char *text, char *why, size_t size)
{
	const char *from_file[N_SETTINGS] = {NULL};
	enum err err = ERR_OK;

	if (given.file[0] != '\0') {
		err = read_file(given.file, text, why, size);
		if (err == ERR_OK)
			err = parse_file(text, from_file, why, size);
	}
	for (size_t i = 0; i < N_SETTINGS && err == ERR_OK; i++) {
		const char *source;
		const char *value =
		    choose_value(&settings[i], from_file[i], &source);

		if (!(settings[i].programs & given.about->which))
			value = settings[i].fallback;
		if (!store_value(config, &settings[i], value)) {
			explain_bad_value(
			    &settings[i], value, source, why, size);
			err = ERR_BAD_INPUT;
		}
	}
	if (err == ERR_OK && text != file_texts[0])
		keep_start(config);
	if (err == ERR_OK)
		err = check_whole(config, why, size);
	if (err == ERR_OK && given.about->check != NULL)
		err = given.about->check(config, why, size);
	return err;
}

enum err
config_reload(struct config *config, char *why, size_t size)
{
	int generation = file_generation == 1 ? 2 : 1;
	struct config fresh;
	enum err err;

	err = load_all(&fresh, file_texts[generation], why, size);
	if (err != ERR_OK)
		return err;
	file_generation = generation;
	*config = fresh;
	return ERR_OK;
}

/* --- The command line --- */

/* REDIS_TIMEOUT_MS -> redis-timeout-ms */
static void
flag_name(const struct setting *s, char *out, size_t size)
{
	size_t i;

	for (i = 0; s->name[i] != '\0' && i + 1 < size; i++)
		out[i] = s->name[i] == '_'
			     ? '-'
			     : (char)tolower((unsigned char)s->name[i]);
	out[i] = '\0';
}

static bool
has_flag(const struct setting *s, enum config_program which)
{
	return !(s->traits & SECRET) && (s->programs & which);
}

static void
print_setting(const struct setting *s, enum config_program which)
{
	char flag[64], shown[80] = "(environment or file only)";

	if (has_flag(s, which)) {
		flag_name(s, flag, sizeof(flag));
		if (s->letter != 0)
			snprintf(shown, sizeof(shown), "-%c, --%s=VALUE",
			    s->letter, flag);
		else
			snprintf(shown, sizeof(shown), "--%s=VALUE", flag);
	}
	printf("  %s  %s\n      %s", s->name, shown, s->help);
	if (s->kind == NUMBER)
		printf(" (%u..%u)", s->min, s->max);
	if (s->fallback[0] != '\0')
		printf(" [%s]", s->fallback);
	printf("%s\n", s->traits & RESTART ? " (needs a restart)" : "");
}

static void
print_help(const struct config_about *about)
{
	printf("Usage: %s %s\n\n%s\n\n", about->program, about->synopsis,
	    about->purpose);
	if (about->extra != NULL)
		printf("%s\n", about->extra);
	printf(
	    "Options:\n"
	    "  --config=FILE  read NAME=value lines (also FLASHSALE_CONFIG)\n"
	    "  --check        check the settings and exit\n"
	    "  --settings     print the settings as a Markdown table\n"
	    "  --version      print the version and exit\n"
	    "  --help         print this and exit\n\n"
	    "Settings, from a flag, else the environment, else the file:\n");
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (settings[i].programs & about->which)
			print_setting(&settings[i], about->which);
}

static void
print_markdown(void)
{
	printf("| setting | default | range | used by | meaning |\n"
	       "| --- | --- | --- | --- | --- |\n");
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const struct setting *s = &settings[i];

		printf("| `%s` | %s%s%s | ", s->name, s->fallback[0] ? "`" : "",
		    s->fallback, s->fallback[0] ? "`" : "");
		if (s->kind == NUMBER)
			printf("%u-%u", s->min, s->max);
		printf(" |%s%s%s | %s%s |\n",
		    s->programs & FOR_FCGI ? " fcgi" : "",
		    s->programs & FOR_WORKER ? " worker" : "",
		    s->programs & FOR_CLI ? " cli" : "", s->help,
		    s->traits & SECRET	  ? " (secret: no flag)"
		    : s->traits & RESTART ? " (needs a restart)"
					  : "");
	}
}

static void NORETURN
usage_error(const char *program)
{
	fprintf(stderr, "Try: %s --help\n", program);
	exit(EXIT_USAGE);
}

void
config_usage(const char *what)
{
	fprintf(stderr, "%s: %s\n", given.about->program, what);
	usage_error(given.about->program);
}

/* Fill getopt's tables from ours: long ones, then the letters. */
static void
make_options(struct option *options, char names[][64], char *letters,
    enum config_program which)
{
	static const struct option fixed[] = {
	    {"help", no_argument, NULL, OPT_HELP},
	    {"version", no_argument, NULL, OPT_VERSION},
	    {"check", no_argument, NULL, OPT_CHECK},
	    {"settings", no_argument, NULL, OPT_SETTINGS},
	    {"config", required_argument, NULL, OPT_CONFIG},
	};
	size_t n = sizeof(fixed) / sizeof(fixed[0]);

	memcpy(options, fixed, sizeof(fixed));
	*letters++ = '+'; /* stop at the first argument that is no option */
	*letters++ = 'h';
	for (size_t i = 0; i < N_SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (!(s->programs & which))
			continue;
		flag_name(s, names[i], sizeof(names[i]));
		options[n++] = (struct option){names[i],
		    has_flag(s, which) ? required_argument : optional_argument,
		    NULL, OPT_SETTING + (int)i};
		if (s->letter != 0) {
			*letters++ = s->letter;
			*letters++ = ':';
		}
	}
	options[n] = (struct option){NULL, 0, NULL, 0};
	*letters = '\0';
}

static void
take_setting(const struct setting *s, const char *value)
{
	if (s->traits & SECRET) {
		fprintf(stderr,
		    "%s: %s is a secret, and others can read command lines: "
		    "set it in the environment or in the file\n",
		    given.about->program, s->name);
		usage_error(given.about->program);
	}
	given.flags[s - settings] = value;
}

static void
take_letter(int letter, const char *value, enum config_program which)
{
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (settings[i].letter == letter &&
		    has_flag(&settings[i], which))
			given.flags[i] = value;
}

static void
parse_command_line(int argc, char **argv)
{
	struct option options[N_SETTINGS + 6];
	char names[N_SETTINGS][64], letters[2 * N_SETTINGS + 3];
	int c;

	make_options(options, names, letters, given.about->which);
	while ((c = getopt_long(argc, argv, letters, options, NULL)) != -1) {
		if (c == OPT_HELP || c == 'h') {
			print_help(given.about);
			exit(EXIT_FINE);
		} else if (c == OPT_VERSION) {
			printf(
			    "%s %s\n", given.about->program, FLASHSALE_VERSION);
			exit(EXIT_FINE);
		} else if (c == OPT_SETTINGS) {
			print_markdown();
			exit(EXIT_FINE);
		} else if (c == OPT_CHECK)
			given.check_only = true;
		else if (c == OPT_CONFIG)
			given.file = optarg;
		else if (c >= OPT_SETTING)
			take_setting(&settings[c - OPT_SETTING], optarg);
		else if (c == '?')
			usage_error(given.about->program);
		else
			take_letter(c, optarg, given.about->which);
	}
}

int
config_load(struct config *config, const struct config_about *about, int argc,
    char **argv)
{
	char why[512];

	memset(&given, 0, sizeof(given));
	given.about = about;
	given.file = getenv("FLASHSALE_CONFIG");
	if (given.file == NULL)
		given.file = "";
	parse_command_line(argc, argv);
	file_generation = 0;
	if (load_all(config, file_texts[0], why, sizeof(why)) != ERR_OK) {
		fprintf(stderr, "%s: %s\n", about->program, why);
		exit(EXIT_CONFIG);
	}
	if (given.check_only) {
		printf("%s: the settings are good\n", about->program);
		exit(EXIT_FINE);
	}
	start = *config;
	return optind;
}

void
config_log(const struct config *config, const struct config_about *about)
{
	char line[900] = "", number[12];
	size_t n = 0;

	for (size_t i = 0; i < N_SETTINGS; i++) {
		const struct setting *s = &settings[i];
		const char *value = value_text(config, s, number);

		if (!(s->programs & about->which) || *value == '\0' ||
		    n >= sizeof(line))
			continue;
		n += (size_t)snprintf(line + n, sizeof(line) - n, " %s=%s",
		    s->name, s->traits & SECRET ? "(set)" : value);
	}
	log_info("%s %s %s:%s", about->program, FLASHSALE_VERSION,
	    file_generation > 0 ? "reloads" : "starts", line);
	if (file_generation > 0 && waiting[0] != '\0')
		log_warn("changed, but needs a restart:%s", waiting);
}
