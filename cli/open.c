/* flashsale open and flashsale reset: a new sale of a SKU. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "exit_codes.h"
#include "message.h"

#include "command.h"
#include "money.h"
#include "paint.h"
#include "session.h"
#include "when.h"

struct opening {
	const struct command *command;
	struct sale_change change;
	const char *price; /* as given; it takes a currency to read it */
};

static const struct option options[] = {
    {"stock", required_argument, NULL, 's'},
    {"limit", required_argument, NULL, 'l'},
    {"name", required_argument, NULL, 'n'},
    {"opens", required_argument, NULL, 'o'},
    {"closes", required_argument, NULL, 'c'},
    {"price", required_argument, NULL, 'p'},
    {"currency", required_argument, NULL, 'y'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int64_t
read_time(const struct command *command, const char *option)
{
	int64_t ms;

	if (strcmp(option, "--closes") == 0 && strcmp(optarg, "never") == 0)
		return 0;
	if (when_parse(optarg, clock_wall_ms(), &ms) != ERR_OK)
		command_misused(command, "%s must be %s, not \"%s\"", option,
		    WHEN_FORMS, optarg);
	return ms;
}

static void
take_option(struct opening *o, int option)
{
	struct sale_change *change = &o->change;

	switch (option) {
	case 's':
		change->stock =
		    command_number(o->command, "--stock", optarg, 0, UNITS_MAX);
		break;
	case 'l':
		change->limit =
		    command_number(o->command, "--limit", optarg, 0, UNITS_MAX);
		break;
	case 'n':
		change->name = optarg;
		break;
	case 'o':
		change->opens_at = read_time(o->command, "--opens");
		break;
	case 'c':
		change->closes_at = read_time(o->command, "--closes");
		break;
	case 'p':
		o->price = optarg;
		break;
	case 'y':
		change->currency = optarg;
		break;
	case 'h':
		command_help(o->command);
	default:
		command_hint(o->command);
	}
}

static void
check_arguments(const struct opening *o)
{
	const struct sale_change *change = &o->change;

	if (change->stock < 0)
		command_misused(o->command, "how many units? (--stock N)");
	if (change->name != NULL &&
	    !sale_name_is_valid(change->name, strlen(change->name)))
		command_misused(o->command,
		    "--name must be 1 to %d bytes of UTF-8 without control "
		    "characters",
		    NAME_MAX_BYTES);
	if (change->currency != NULL &&
	    !currency_is_valid(change->currency, strlen(change->currency)))
		command_misused(o->command,
		    "--currency must be three capital letters of ISO 4217, "
		    "not \"%s\"",
		    change->currency);
	if (change->closes_at > 0 && change->closes_at <= change->opens_at)
		command_misused(
		    o->command, "--closes must be later than --opens");
}

static void
read_arguments(struct opening *o, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		take_option(o, option);
	o->change.sku = command_sku(o->command, argc, argv, NULL);
	check_arguments(o);
}

/*
 * How many decimals a price has, its currency tells: the one given, else
 * that of the sale before, else USD.
 */
static enum err
read_price(struct session *s, struct opening *o)
{
	const char *currency = o->change.currency;
	struct sale_view before;
	enum err err;

	if (o->price == NULL)
		return ERR_OK;
	if (currency == NULL) {
		err = session_look(s, o->change.sku, &before);
		if (err != ERR_OK && err != ERR_NOT_FOUND)
			return err;
		currency = err == ERR_OK ? before.sale.currency : "USD";
	}
	if (money_parse(o->price, currency, &o->change.price_minor) != ERR_OK ||
	    o->change.price_minor > PRICE_MAX)
		command_misused(o->command,
		    "--price must be an amount in %s of at most 10^12 of its "
		    "smallest units, with at most %d decimals, not \"%s\"",
		    currency, money_digits(currency), o->price);
	return ERR_OK;
}

static void
print_opened(const struct sale_view *view)
{
	const struct sale *sale = &view->sale;
	char opens[WHEN_SIZE], closes[WHEN_SIZE], price[64];
	int64_t now = clock_wall_ms();

	when_format(sale->opens_at, opens);
	when_format(sale->closes_at, closes);
	money_format(sale->price_minor, sale->currency, price, sizeof(price));
	paint(stdout, GOOD, "%s", sale->sku);
	printf(": %" PRId64 " units of \"%s\" at %s, ", sale->total, sale->name,
	    price);
	if (sale->limit == 0)
		printf("no limit per buyer, ");
	else
		printf("at most %" PRId64 " per buyer, ", sale->limit);
	if (sale->opens_at > now)
		printf("from %s", opens);
	else
		printf("on sale now");
	if (sale->closes_at > 0)
		printf(" until %s", closes);
	printf("\nsale %s\n", sale->id);
}

static int
refuse_second(struct session *s, const char *sku)
{
	struct sale_view view;

	if (session_look(s, sku, &view) == ERR_OK)
		fprintf(stderr,
		    "flashsale open: %s has a sale already, with %" PRId64
		    " of %" PRId64 " units left.\n",
		    sku, view.remaining, view.sale.total);
	fprintf(stderr,
	    "To end it and start a new one: flashsale reset %s --stock N\n",
	    sku);
	return EXIT_FAILED;
}

static int
refuse_unknown(const char *sku)
{
	fprintf(stderr,
	    "flashsale reset: what is to be as in the sale before of %s is "
	    "lost: give --name,\n--limit, --opens, --closes, --price and "
	    "--currency.\n",
	    sku);
	return EXIT_FAILED;
}

/* One that is damaged may be reset: that is a way to mend it. */
static bool
is_being_rebuilt(struct session *s, const char *sku)
{
	struct sale_view view;
	enum err err = session_look(s, sku, &view);

	return err == ERR_RECOVERING || (err == ERR_OK && view.recovering);
}

static int
start_sale(
    const struct config *config, struct opening *o, int argc, char **argv)
{
	struct session session;
	struct sale_view view;
	enum err err;
	int code = EXIT_FINE;

	o->change = (struct sale_change){.stock = -1,
	    .limit = -1,
	    .opens_at = -1,
	    .closes_at = -1,
	    .price_minor = -1};
	read_arguments(o, argc, argv);
	session_open(&session, config);
	if (is_being_rebuilt(&session, o->change.sku)) {
		fprintf(stderr,
		    "flashsale %s: this Redis may have lost a sale of %s: wait "
		    "until the worker\nhas rebuilt it (does one run?).\n",
		    o->command->name, o->change.sku);
		session_close(&session);
		return EXIT_UNAVAIL;
	}
	err = read_price(&session, o);
	if (err == ERR_OK)
		err = session_start_sale(
		    &session, &o->change, o->command == &command_open, &view);
	if (err == ERR_OK)
		print_opened(&view);
	else if (err == ERR_REFUSED && o->command == &command_open)
		code = refuse_second(&session, o->change.sku);
	else if (err == ERR_BAD_INPUT)
		code = refuse_unknown(o->change.sku);
	else
		code = session_failed(err, "starting the sale");
	session_close(&session);
	return code;
}

static int
run_open(const struct config *config, int argc, char **argv)
{
	struct opening o = {.command = &command_open};

	return start_sale(config, &o, argc, argv);
}

static int
run_reset(const struct config *config, int argc, char **argv)
{
	struct opening o = {.command = &command_reset};

	return start_sale(config, &o, argc, argv);
}

static const char sale_options[] =
    "  --stock=N          units to sell\n"
    "  --limit=N          units a buyer may hold; 0 = no limit\n"
    "  --name=TEXT        shown to buyers\n"
    "  --opens=TIME       now, +90s, +5m, +2h, +1d or RFC 3339\n"
    "  --closes=TIME      the same, or never\n"
    "  --price=AMOUNT     of a unit, as in 799.00\n"
    "  --currency=CODE    ISO 4217\n";

const struct command command_open = {
    "open",
    "SKU --stock N [OPTION...]",
    "Open the first sale of a SKU",
    sale_options,
    "What is not given: limit 1, named as the SKU, open from now on, never\n"
    "closing, price 0 USD.\n",
    run_open,
};

const struct command command_reset = {
    "reset",
    "SKU --stock N [OPTION...]",
    "End the sale of a SKU, if any, and start a new one",
    sale_options,
    "What is not given is as in the sale before.\n",
    run_reset,
};
