#include "err.h"

const char *
err_name(enum err err)
{
	switch (err) {
	case ERR_OK:
		return "ok";
	case ERR_NOMEM:
		return "out of memory";
	case ERR_BAD_INPUT:
		return "bad input";
	case ERR_NOT_FOUND:
		return "not found";
	case ERR_UNAVAILABLE:
		return "unavailable";
	case ERR_TIMEOUT:
		return "timeout";
	case ERR_PROTOCOL:
		return "protocol error";
	case ERR_REFUSED:
		return "refused";
	case ERR_THROTTLED:
		return "throttled";
	case ERR_RETRY:
		return "somebody came in between";
	case ERR_RECOVERING:
		return "recovering";
	case ERR_DENIED:
		return "denied";
	}
	return "unknown error";
}
