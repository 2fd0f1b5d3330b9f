/*
 * flashsale: the operator's and the newcomer's tool.  Reads the settings,
 * finds the command, runs it.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "db.h"
#include "exit_codes.h"
#include "log.h"
#include "redis_url.h"
#include "sqs_endpoint.h"

#include "command.h"

static const struct command *const commands[] = {
    &command_open,
    &command_reset,
    &command_pause,
    &command_resume,
    &command_close,
    &command_status,
    &command_books,
    &command_verify,
    &command_repair,
    &command_drain,
    &command_attack,
    &command_migrate,
};
#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

static const struct command *
find_command(const char *name)
{
	size_t i;

	for (i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

/* The list of commands, for --help. */
static const char *
list_commands(void)
{
	static char list[2000];
	size_t i, n;

	n = (size_t)snprintf(list, sizeof(list), "Commands:\n");
	for (i = 0; i < N_COMMANDS; i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n,
		    "  %-8s  %s\n", commands[i]->name, commands[i]->purpose);
	snprintf(list + n, sizeof(list) - n,
	    "\n\"flashsale COMMAND --help\" tells the options of one.\n");
	return list;
}

static enum err
check_queue(
    const struct config *config, const char *url, char *why, size_t size)
{
	if (config->queue != QUEUE_SQS)
		return ERR_OK;
	return sqs_check_queue_url(config, url, why, size);
}

static enum err
check_store(const struct config *config, char *why, size_t size)
{
	struct db_address db;

	if (config->mysql_url[0] == '\0')
		return ERR_OK;
	return db_parse_url(config->mysql_url, &db, why, size);
}

/* Settings that can never work are told at once, whatever the command; who
 * talks to SQS looks at the rest of it. */
static enum err
check_settings(const struct config *config, char *why, size_t size)
{
	struct redis_url redis;
	enum err err = redis_url_parse(config->redis_url, &redis, why, size);

	if (err == ERR_OK)
		err = check_store(config, why, size);
	if (err == ERR_OK)
		err = check_queue(config, config->sqs_queue_url, why, size);
	if (err == ERR_OK)
		err = check_queue(config, config->sqs_dlq_url, why, size);
	return err;
}

static int
run_command(const struct config *config, int argc, char **argv)
{
	const struct command *command = find_command(argv[0]);
	static char title[64]; /* what getopt's messages begin with */

	if (command == NULL) {
		fprintf(stderr,
		    "flashsale: there is no command \"%s\".\n"
		    "Try \"flashsale --help\".\n",
		    argv[0]);
		return EXIT_USAGE;
	}
	snprintf(title, sizeof(title), "flashsale %s", command->name);
	argv[0] = title;
	optind = 0; /* getopt starts anew */
	return command->run(config, argc, argv);
}

int
main(int argc, char **argv)
{
	struct config_about about = {
	    .program = "flashsale",
	    .which = FOR_CLI,
	    .synopsis = "[SETTING...] COMMAND [OPTION...]",
	    .purpose = "Open, watch and try out flash sales.",
	    .extra = list_commands(),
	    .check = check_settings,
	};
	struct config config;
	int first = config_load(&config, &about, argc, argv);

	log_init("flashsale", config.log_level, config.log_syslog);
	if (first == argc) {
		fprintf(stderr, "flashsale: which command?\n%s", about.extra);
		return EXIT_USAGE;
	}
	return run_command(&config, argc - first, argv + first);
}
