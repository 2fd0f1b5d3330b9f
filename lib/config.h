/*
 * Settings: one table (config.c) makes the parser, --help, --check and the
 * table in docs/settings.md.  A setting comes from, strongest first: its
 * flag, the environment, the file of NAME=value lines named by --config or
 * FLASHSALE_CONFIG, its default.  An empty value means unset.
 */
#ifndef FLASHSALE_CONFIG_H
#define FLASHSALE_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "err.h"
#include "log.h"

/* The programs that know a setting; a bit mask. */
enum config_program {
	FOR_FCGI = 1,
	FOR_WORKER = 2,
	FOR_CLI = 4,
	FOR_ALL = 7,
};

/* What carries orders from the responders to the worker. */
enum config_queue {
	QUEUE_SQS,
	QUEUE_REDIS, /* the outbox streams themselves */
};

/* Strings are "" when unset, never NULL, and live as long as the struct. */
struct config {
	/* log */
	enum log_level log_level;
	bool log_syslog;

	/* stores */
	const char *redis_url;
	unsigned redis_timeout_ms;
	bool recovery;
	const char *mysql_url;
	unsigned mysql_timeout_ms;

	/* queue */
	enum config_queue queue;
	const char *sqs_queue_url;
	const char *sqs_dlq_url;
	unsigned sqs_timeout_ms;

	/* AWS: names and meanings as in every AWS SDK */
	const char *aws_region;
	const char *aws_default_region;
	const char *aws_endpoint_url_sqs;
	const char *aws_endpoint_url;
	const char *aws_endpoint_url_sts;
	const char *aws_ca_bundle;
	const char *aws_access_key_id;
	const char *aws_secret_access_key;
	const char *aws_session_token;
	const char *aws_profile;
	const char *aws_shared_credentials_file;
	const char *aws_config_file;
	const char *aws_role_arn;
	const char *aws_role_session_name;
	const char *aws_web_identity_token_file;
	const char *aws_container_credentials_relative_uri;
	const char *aws_container_credentials_full_uri;
	const char *aws_container_authorization_token;
	const char *aws_container_authorization_token_file;
	const char *aws_ec2_metadata_disabled;
	const char *aws_ec2_metadata_service_endpoint;

	/* flashsale-fcgi */
	const char *listen;
	unsigned responders;
	const char *default_sku;
	const char *gate_dir;
	const char *admin_token;
	unsigned send_concurrency;
	unsigned send_deadline_ms;
	unsigned max_connections;
	unsigned drain_seconds;

	/* flashsale-worker */
	unsigned consumers;
	unsigned polls;
	unsigned poll_wait_seconds;
	unsigned visibility_seconds;
	unsigned haul_max;
	unsigned outbox_age_ms;
	unsigned recovery_settle_ms;
	const char *metrics_file;

	/* flashsale (cli) */
	const char *base_url;
};

/* What a program says of itself in --help and --version. */
struct config_about {
	const char *program; /* "flashsale-fcgi" */
	enum config_program which;
	const char *synopsis; /* after the name in the usage line */
	const char *purpose;  /* a sentence or two */
	const char *extra;    /* more lines for --help (commands), or NULL */
	/* The program's own rules: ERR_OK, or why these settings cannot work.
	 * Contacts nobody.  NULL is fine. */
	enum err (*check)(const struct config *, char *why, size_t size);
};

/*
 * Read all sources into *config.  Handles --help, --version, --check and
 * --settings (the table as Markdown) itself and exits 0 for them (--check
 * only when all is well).  A wrong value or name is reported on stderr with
 * the setting, its source and what is allowed, then exit 78 (usage: 64).
 * Parsing stops at the first argument that is no option: returns its index
 * in argv (argc when there is none).
 */
int config_load(struct config *config, const struct config_about *about,
    int argc, char **argv);

/* Say what is wrong with the command line on stderr, and exit 64. */
void config_usage(const char *what) NORETURN;

/*
 * Read everything again with the argv of the first time, for a reload.
 * Settings that need a restart keep their value of the start.
 * Fails with the reason in why (never exits); the old config stays good.
 */
enum err config_reload(
    struct config *config, char *why, size_t size) MUST_CHECK;

/* Log the effective settings in one line, secrets as "(set)"; after a reload it
 * says so, and names those that were changed but need a restart. */
void config_log(const struct config *config, const struct config_about *);

#endif
