/*
 * Routing: one table.  A path is either exactly the route's or, where the
 * route takes one, has a slash and an argument behind it.
 */
#include "route.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "digest.h"
#include "handlers.h"
#include "problem.h"
#include "responder.h"

enum argument { NONE, OPTIONAL, REQUIRED };

static const struct route {
	const char *path;
	enum argument argument;
	const char *method; /* GET means HEAD too */
	bool admin;
	void (*handle)(struct exchange *, const char *argument);
} routes[] = {
    {"/buy", OPTIONAL, "POST", false, buy_handle},
    {"/stock", OPTIONAL, "GET", false, stock_handle},
    {"/sales", NONE, "GET", false, sales_handle},
    {"/orders", REQUIRED, "GET", false, order_handle},
    {"/reset", NONE, "POST", true, reset_handle},
    {"/reset-stock", REQUIRED, "POST", true, reset_stock_handle},
    {"/admin/stats", NONE, "GET", true, admin_stats_handle},
    {"/admin/state", REQUIRED, "POST", true, admin_state_handle},
    {"/healthz", NONE, "GET", false, healthz_handle},
    {"/readyz", NONE, "GET", false, readyz_handle},
    {"/metrics", NONE, "GET", false, metrics_handle},
};

/* What follows the route's path, or NULL when the path is another's. */
static const char *
match(const struct route *route, const char *path)
{
	size_t len = strlen(route->path);

	if (strncmp(path, route->path, len) != 0)
		return NULL;
	if (path[len] == '\0')
		return route->argument != REQUIRED ? path + len : NULL;
	if (route->argument == NONE || path[len] != '/' ||
	    path[len + 1] == '\0')
		return NULL;
	return path + len + 1;
}

static bool
method_fits(const struct route *route, const char *method)
{
	return strcmp(method, route->method) == 0 ||
	       (strcmp(route->method, "GET") == 0 &&
		   strcmp(method, "HEAD") == 0);
}

/* RFC 6750: "Bearer" in any case, blanks, the token. */
static bool
is_admin(const struct exchange *x)
{
	const struct responder *r = x->responder;
	const char *token = x->authorization;

	if (r->config->admin_token[0] == '\0' ||
	    strncasecmp(token, "Bearer ", 7) != 0)
		return false;
	token += 7 + strspn(token + 7, " ");
	return secret_equals(token, strlen(token), r->config->admin_token);
}

static void
refuse_method(struct exchange *x, const struct route *route)
{
	char allow[64];
	struct problem_detail d = {.headers = allow};

	snprintf(allow, sizeof(allow), "Allow: %s%s\r\n", route->method,
	    strcmp(route->method, "GET") == 0 ? ", HEAD" : "");
	problem_reply(x, PROBLEM_METHOD_NOT_ALLOWED, &d);
}

static void
refuse_stranger(struct exchange *x)
{
	struct problem_detail d = {
	    .headers = "WWW-Authenticate: Bearer realm=\"flashsale\"\r\n"};

	problem_reply(x, PROBLEM_UNAUTHORIZED, &d);
}

void
route_request(struct exchange *x)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		const struct route *route = &routes[i];
		const char *argument = match(route, x->path);

		if (argument == NULL)
			continue;
		if (!method_fits(route, x->method))
			refuse_method(x, route);
		else if (route->admin && !is_admin(x))
			refuse_stranger(x);
		else
			route->handle(x, argument);
		return;
	}
	problem_reply(x, PROBLEM_NOT_FOUND, NULL);
}
