/*
 * flashsale-fcgi: preforked FastCGI responders that sell.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "fastcgi.h"
#include "gatekeeper.h"
#include "handover.h"
#include "listener.h"
#include "log.h"
#include "metrics.h"
#include "pool.h"
#include "responder.h"
#include "stats.h"

static struct config config;
static unsigned responders, children;

/* What can never work is said before the first request, not after. */
static enum err
check_settings(const struct config *candidate, char *why, size_t size)
{
	if (candidate->queue == QUEUE_SQS &&
	    candidate->sqs_queue_url[0] == '\0') {
		snprintf(why, size,
		    "SQS_QUEUE_URL: not set; the queue that orders go to, "
		    "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME (or "
		    "QUEUE=redis: no SQS at all)");
		return ERR_BAD_INPUT;
	}
	if (candidate->gate_dir[0] != '\0' &&
	    access(candidate->gate_dir, W_OK | X_OK) != 0) {
		snprintf(why, size,
		    "GATE_DIR=%.200s: %s; make it, for the user of this "
		    "program to write and the web server to read",
		    candidate->gate_dir, strerror(errno));
		return ERR_BAD_INPUT;
	}
	if (listener_check(candidate->listen, why, size) != ERR_OK)
		return ERR_BAD_INPUT;
	return responder_check(candidate, why, size);
}

static const struct config_about about = {
    .program = "flashsale-fcgi",
    .which = FOR_FCGI,
    .synopsis = "[-s PATH|HOST:PORT] [-n RESPONDERS] [OPTION...]",
    .purpose = "Serve a flash sale behind nginx or lighttpd: reserve stock in "
	       "Redis, send\norders to Amazon SQS (or leave them to "
	       "Redis). Stays in the foreground; "
	       "SIGHUP reloads, SIGTERM drains.",
    .check = check_settings,
};

static void
start_log(void)
{
	log_init(about.program, config.log_level, config.log_syslog);
}

static bool
reload_settings(void *arg)
{
	char why[512];

	(void)arg;
	if (config_reload(&config, why, sizeof(why)) != ERR_OK) {
		log_error("reload: %s; the old settings stay", why);
		return false;
	}
	start_log();
	config_log(&config, &about);
	return true;
}

static unsigned
count_responders(void)
{
	long cores;

	if (config.responders > 0)
		return config.responders;
	cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores > 0 ? (unsigned)cores : 1;
}

/* The last child is the gatekeeper, where there is a gate. */
static const char *
name(unsigned place)
{
	return place == responders ? "gatekeeper" : "responder";
}

static int
serve(unsigned slot, void *arg)
{
	const struct responder_options *options = arg;

	metrics_use_slot(slot);
	if (slot % children == responders)
		return gatekeeper_run(&config);
	return responder_run(options);
}

int
main(int argc, char **argv)
{
	struct responder_options options = {.config = &config};
	struct pool_options pool = {.name = name,
	    .child = serve,
	    .reload = reload_settings,
	    .arg = &options};
	int code;

	if (config_load(&config, &about, argc, argv) < argc)
		config_usage("unexpected argument");
	start_log();
	options.listen_fd = listener_open(config.listen);
	if (!handover_open(options.handover))
		fatal(EXIT_OSERR, "socketpair: %s", strerror(errno));
	responders = count_responders();
	children = responders + (config.gate_dir[0] != '\0');
	pool.children = children;
	pool.drain_seconds = config.drain_seconds;
	stats_init(2 * children);
	config_log(&config, &about);
	code = pool_run(&pool);
	listener_remove(config.listen);
	return code;
}
