/* flashsale pause, resume and close: what the operator may do to a sale. */
#include <getopt.h>
#include <stdio.h>

#include "exit_codes.h"
#include "sale.h"

#include "command.h"
#include "session.h"
#include "survey.h"

static const struct option options[] = {
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int
change(struct session *s, const struct command *command, const char *sku,
    enum sale_state state)
{
	enum err err = session_set_state(s, sku, state);
	struct sale_view view;
	char why[WHY_SIZE];

	snprintf(why, sizeof(why), "Redis says \"%s\"", err_name(err));
	/* Is there none, or is it being rebuilt? */
	if (err == ERR_NOT_FOUND &&
	    survey_look(s, sku, &view, why) == ERR_RECOVERING)
		err = ERR_RECOVERING;
	if (err == ERR_BAD_INPUT)
		snprintf(why, sizeof(why),
		    "limit and times are lost; reset it with all its options");
	return survey_exit_code(command, sku, err, why);
}

static int
change_state(const struct command *command, enum sale_state state,
    const char *done, const struct config *config, int argc, char **argv)
{
	struct session session;
	const char *sku;
	int option, code;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 'h')
			command_help(command);
		command_hint(command);
	}
	sku = command_sku(command, argc, argv, NULL);
	session_open(&session, config);
	code = change(&session, command, sku, state);
	if (code == EXIT_FINE)
		printf("%s: %s\n", sku, done);
	session_close(&session);
	return code;
}

static int
run_pause(const struct config *config, int argc, char **argv)
{
	return change_state(
	    &command_pause, SALE_PAUSED, "paused", config, argc, argv);
}

static int
run_resume(const struct config *config, int argc, char **argv)
{
	return change_state(
	    &command_resume, SALE_OPEN, "open", config, argc, argv);
}

static int
run_close(const struct config *config, int argc, char **argv)
{
	return change_state(
	    &command_close, SALE_CLOSED, "closed", config, argc, argv);
}

const struct command command_pause = {
    "pause",
    "SKU",
    "Let nobody buy for the moment",
    "",
    NULL,
    run_pause,
};

const struct command command_resume = {
    "resume",
    "SKU",
    "Go on with a paused or closed sale",
    "",
    NULL,
    run_resume,
};

const struct command command_close = {
    "close",
    "SKU",
    "End the sale; what is left stays unsold",
    "",
    NULL,
    run_close,
};
