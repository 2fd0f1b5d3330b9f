/*
 * The file of settings: a reload takes it whole or not at all, what it takes
 * is within the ranges of the table, and no complaint repeats a secret.
 */
#define _GNU_SOURCE /* memfd_create */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "config.h"

#define SECRET "hunter2"

static struct config_about about = {
    .program = "fuzz",
    .which = FOR_FCGI,
    .synopsis = "",
    .purpose = "",
};
static int file;
static struct config config;

static void
write_file(const void *text, size_t len)
{
	MUST(ftruncate(file, 0) == 0);
	MUST(pwrite(file, text, len, 0) == (ssize_t)len);
}

static void
must_be_text(const char *value)
{
	MUST(value != NULL);
	MUST(strlen(value) <= 4096);
	for (; *value != '\0'; value++)
		MUST((unsigned char)*value >= 0x20);
}

static void
must_be_within(unsigned value, unsigned min, unsigned max)
{
	MUST(value >= min && value <= max);
}

static void
must_be_sound(const struct config *c)
{
	size_t token = strlen(c->admin_token);

	must_be_text(c->redis_url);
	must_be_text(c->mysql_url);
	must_be_text(c->sqs_queue_url);
	must_be_text(c->aws_secret_access_key);
	must_be_text(c->admin_token);
	must_be_text(c->default_sku);
	must_be_text(c->base_url);
	MUST(token == 0 || (token >= 16 && token <= 400));
	MUST(c->redis_url[0] != '\0'); /* has a default */
	MUST(c->log_level <= LOG_LEVEL_DEBUG);
	must_be_within(c->redis_timeout_ms, 10, 60000);
	must_be_within(c->mysql_timeout_ms, 1000, 60000);
	must_be_within(c->responders, 0, 256);
	must_be_within(c->consumers, 1, 64);
	must_be_within(c->haul_max, 1, 500);
	must_be_within(c->visibility_seconds, 10, 43200);
}

/* All that could tell one configuration from another, in one text. */
static char *
describe(const struct config *c)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	MUST(out != NULL);
	fprintf(out, "%d %d %d %u %u %u %u %s\n%s\n%s\n%s\n%s\n%s\n%s\n%s",
	    c->log_level, c->log_syslog, c->recovery, c->redis_timeout_ms,
	    c->responders, c->consumers, c->haul_max, c->redis_url,
	    c->mysql_url, c->sqs_queue_url, c->aws_region, c->admin_token,
	    c->aws_secret_access_key, c->default_sku, c->base_url);
	fclose(out);
	return text;
}

/* Reload twice: taken, it is the same again; refused, all stays as it was. */
static void
check_reload(const void *text, size_t len)
{
	char why[512] = "", *before = describe(&config), *after;
	enum err err;

	write_file(text, len);
	err = config_reload(&config, why, sizeof(why));
	after = describe(&config);
	if (err == ERR_OK) {
		must_be_sound(&config);
		free(before);
		before = after;
		MUST(config_reload(&config, why, sizeof(why)) == ERR_OK);
		after = describe(&config);
	} else
		MUST(why[0] != '\0' && strnlen(why, sizeof(why)) < sizeof(why));
	MUST(strcmp(before, after) == 0);
	free(before);
	free(after);
}

/* A secret that cannot be right is refused, and not repeated. */
static void
check_secret(const void *text, size_t len)
{
	static const char bad[] = "\nADMIN_TOKEN=" SECRET "\x01\n";
	char why[512], *whole = malloc(len + sizeof(bad));

	MUST(whole != NULL);
	memcpy(whole, text, len);
	memcpy(whole + len, bad, sizeof(bad));
	write_file(whole, len + sizeof(bad) - 1);
	MUST(config_reload(&config, why, sizeof(why)) != ERR_OK);
	if (memmem(text, len, SECRET, strlen(SECRET)) == NULL)
		MUST(strstr(why, SECRET) == NULL);
	free(whole);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char name[] = "fuzz", flag[64]; /* reloads read them again */
	char *arguments[] = {name, flag, NULL};

	(void)argc;
	(void)argv;
	clearenv(); /* settings come from the file only */
	file = memfd_create("settings", 0);
	MUST(file >= 0);
	snprintf(flag, sizeof(flag), "--config=/proc/self/fd/%d", file);
	config_load(&config, &about, 2, arguments);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum config_program programs[] = {
	    FOR_FCGI, FOR_WORKER, FOR_CLI};

	for (size_t i = 0; i < 3; i++) {
		about.which = programs[i];
		check_reload(data, size);
	}
	about.which = FOR_FCGI;
	check_secret(data, size);
	return 0;
}
