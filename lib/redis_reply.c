/* Reading what Redis has answered.  A reply is hiredis' own. */
#include "redis.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

static const redisReply *
reply_of(const struct redis_value *value)
{
	return (const redisReply *)value;
}

size_t
redis_array_size(const struct redis_value *value)
{
	const redisReply *reply = reply_of(value);

	return reply != NULL && reply->type == REDIS_REPLY_ARRAY
		   ? reply->elements
		   : 0;
}

const struct redis_value *
redis_at(const struct redis_value *value, size_t i)
{
	if (i >= redis_array_size(value))
		return NULL;
	return (const struct redis_value *)reply_of(value)->element[i];
}

bool
redis_is_null(const struct redis_value *value)
{
	return value == NULL || reply_of(value)->type == REDIS_REPLY_NIL;
}

/* An error in a script has its reason first (Redis 7) or somewhere. */
bool
redis_is_unable(const struct redis_value *value)
{
	static const char *const reasons[] = {
	    "OOM ", "MISCONF ", "NOREPLICAS ", "READONLY ", "BUSY "};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strstr(redis_text(value), reasons[i]) != NULL)
			return true;
	return false;
}

static bool
has_text(const redisReply *reply)
{
	return reply != NULL && (reply->type == REDIS_REPLY_STRING ||
				    reply->type == REDIS_REPLY_STATUS ||
				    reply->type == REDIS_REPLY_ERROR);
}

int64_t
redis_int(const struct redis_value *value)
{
	const redisReply *reply = reply_of(value);

	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
		return reply->integer;
	return has_text(reply) ? strtoll(reply->str, NULL, 10) : 0;
}

const char *
redis_text(const struct redis_value *value)
{
	return has_text(reply_of(value)) ? reply_of(value)->str : "";
}

size_t
redis_text_len(const struct redis_value *value)
{
	return has_text(reply_of(value)) ? (size_t)reply_of(value)->len : 0;
}

void
redis_copy(const struct redis_value *value, char *buf, size_t size)
{
	size_t len = redis_text_len(value);

	if (len >= size)
		len = 0;
	memcpy(buf, redis_text(value), len);
	buf[len] = '\0';
}
