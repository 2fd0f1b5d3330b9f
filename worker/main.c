/*
 * flashsale-worker: consumers bring orders from the queue to MySQL; a keeper
 * brings to SQS what waits in Redis.  This file starts them and knows no more.
 */
#include "config.h"
#include "db.h"
#include "exit_codes.h"
#include "log.h"
#include "metrics.h"
#include "pool.h"
#include "redis_url.h"
#include "sqs.h"

#include "consumer.h"
#include "keeper.h"
#include "recovery.h"
#include "stats.h"

/* The first children have their own duties, the others are consumers; the
 * one for dead letters is there only when their queue is known. */
enum { KEEPER, RECOVERY, DEAD_LETTERS };
static bool dead_letters;
static unsigned children;

static enum err
check_queue(const struct config *config, char *why, size_t size)
{
	enum err err;

	if (config->queue == QUEUE_REDIS)
		return ERR_OK;
	if (config->sqs_queue_url[0] == '\0') {
		snprintf(why, size,
		    "SQS_QUEUE_URL: not set; the queue that orders come from, "
		    "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME (or "
		    "QUEUE=redis: no SQS at all)");
		return ERR_BAD_INPUT;
	}
	err = sqs_check(config, config->sqs_queue_url, why, size);
	if (err != ERR_OK || config->sqs_dlq_url[0] == '\0')
		return err;
	return sqs_check(config, config->sqs_dlq_url, why, size);
}

static enum err
check_store(const struct config *config, char *why, size_t size)
{
	struct db_address address;

	if (config->mysql_url[0] == '\0') {
		snprintf(why, size,
		    "MYSQL_URL: not set; the database that orders go to, "
		    "mysql://user:password@host/database");
		return ERR_BAD_INPUT;
	}
	return db_parse_url(config->mysql_url, &address, why, size);
}

static enum err
check_redis(const struct config *config, char *why, size_t size)
{
	struct redis_url url;

	return redis_url_parse(config->redis_url, &url, why, size);
}

/* Could the children work with these settings?  Contacts nobody. */
static enum err
check_settings(const struct config *config, char *why, size_t size)
{
	enum err err;

	err = check_store(config, why, size);
	if (err == ERR_OK)
		err = check_redis(config, why, size);
	if (err == ERR_OK)
		err = check_queue(config, why, size);
	return err;
}

static const struct config_about about = {
    .program = "flashsale-worker",
    .which = FOR_WORKER,
    .synopsis = "[options]",
    .purpose = "Writes the orders that arrive through the queue to MySQL.",
    .check = check_settings,
};

static bool
reload(void *arg)
{
	struct config *config = arg;
	char why[512];

	if (config_reload(config, why, sizeof(why)) != ERR_OK) {
		log_error("reload: %s; the old processes go on", why);
		return false;
	}
	log_init(about.program, config->log_level, config->log_syslog);
	config_log(config, &about);
	return true;
}

static const char *
name(unsigned place)
{
	if (place == KEEPER)
		return "keeper";
	if (place == RECOVERY)
		return "recoverer";
	return place == DEAD_LETTERS && dead_letters ? "dead-letter consumer"
						     : "consumer";
}

static int
child(unsigned slot, void *arg)
{
	const struct config *config = arg;

	metrics_use_slot(1 + slot);
	switch (slot % children) {
	case KEEPER:
		return keeper_main(config);
	case RECOVERY:
		return recovery_main(config);
	case DEAD_LETTERS:
		if (dead_letters)
			return consumer_main(config, config->sqs_dlq_url);
		/* FALLTHROUGH */
	default:
		return consumer_main(config, config->sqs_queue_url);
	}
}

int
main(int argc, char **argv)
{
	struct config config;

	if (config_load(&config, &about, argc, argv) < argc)
		config_usage("takes options only");
	log_init(about.program, config.log_level, config.log_syslog);
	config_log(&config, &about);
	log_info("%s", db_library());
	/* A reload changes none of these. */
	dead_letters =
	    config.queue == QUEUE_SQS && config.sqs_dlq_url[0] != '\0';
	children = DEAD_LETTERS + dead_letters + config.consumers;
	stats_init(1 + 2 * children);
	return pool_run(&(struct pool_options){
	    .name = name,
	    .children = children,
	    .drain_seconds = config.drain_seconds,
	    .child = child,
	    .reload = reload,
	    .arg = &config,
	});
}
