/* Copies of received messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catch.h"

struct catch
{
	size_t n, max;
	struct caught messages[];
};

enum err
catch_new(struct catch **out, size_t max)
{
	struct catch *catch;

	catch = calloc(1, sizeof(*catch) + max * sizeof(catch->messages[0]));
	if (catch == NULL)
		return ERR_NOMEM;
	catch->max = max;
	*out = catch;
	return ERR_OK;
}

void
catch_free(struct catch *catch)
{
	if (catch == NULL)
		return;
	while (catch->n > 0)
		catch_drop(catch, catch->n - 1);
	free(catch);
}

size_t
catch_size(const struct catch *catch)
{
	return catch->n;
}

struct caught *
catch_at(struct catch *catch, size_t i)
{
	return &catch->messages[i];
}

/* Decode, or say why not. */
static void
read_message(struct caught *caught, const struct delivery *message)
{
	char why[PARKED_REASON_MAX];

	if (message->damage != NULL)
		snprintf(caught->reason, sizeof(caught->reason), "%s",
		    message->damage);
	else if (message->body_len > MESSAGE_MAX)
		snprintf(caught->reason, sizeof(caught->reason),
		    "%zu bytes: more than %d", message->body_len, MESSAGE_MAX);
	else if (message_decode(message->body, message->body_len,
		     &caught->message, why, sizeof(why)) != ERR_OK)
		snprintf(caught->reason, sizeof(caught->reason), "%s", why);
}

void
catch_add(
    struct catch *catch, const struct delivery *message, double lease_ends)
{
	size_t kept = message->body_len > PARKED_BODY_MAX ? PARKED_BODY_MAX
							  : message->body_len;
	struct caught *caught = &catch->messages[catch->n];

	if (catch->n == catch->max)
		return;
	memset(caught, 0, sizeof(*caught));
	caught->handle = strdup(message->handle);
	caught->body = malloc(kept + 1);
	if (caught->handle == NULL || caught->body == NULL) {
		free(caught->handle);
		free(caught->body);
		return;
	}
	snprintf(
	    caught->message_id, sizeof(caught->message_id), "%s", message->id);
	memcpy(caught->body, message->body, kept);
	caught->body[kept] = '\0';
	caught->body_len = message->body_len;
	caught->lease_ends = lease_ends;
	read_message(caught, message);
	catch->n++;
}

void
catch_drop(struct catch *catch, size_t i)
{
	free(catch->messages[i].handle);
	free(catch->messages[i].body);
	if (i != --catch->n)
		catch->messages[i] = catch->messages[catch->n];
}
