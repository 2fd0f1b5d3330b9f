/*
 * FastCGI requests as bytes.  A request is whole at one length only; and of
 * what we take for one, libfcgi reads the same.
 */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include <fastcgi.h>
#include <fcgiapp.h>

#include "../../fcgi/record.h"

static enum record_result
read_exact(const uint8_t *data, size_t len, struct record_request *out)
{
	uint8_t *copy = fuzz_bytes(data, len);
	enum record_result result = record_read_request(copy, len, out);

	free(copy);
	return result;
}

/* Bad stays bad whatever follows, and a whole one has no whole beginning. */
static void
check_beginning(const uint8_t *data, size_t len, enum record_result result)
{
	static struct record_request r;

	switch (read_exact(data, len, &r)) {
	case RECORD_BAD:
		MUST(result == RECORD_BAD);
		break;
	case RECORD_WHOLE: /* what follows came too early */
		MUST(result == RECORD_BAD);
		break;
	case RECORD_PARTIAL:
		break;
	}
}

static void
must_be_in_bounds(const struct record_request *r)
{
	MUST(r->id > 0 && r->id <= 0xffff);
	MUST(strnlen(r->method, sizeof(r->method)) < sizeof(r->method));
	MUST(strnlen(r->path, sizeof(r->path)) < sizeof(r->path));
	MUST(strnlen(r->content_type, sizeof(r->content_type)) <
	     sizeof(r->content_type));
	MUST(strnlen(r->authorization, sizeof(r->authorization)) <
	     sizeof(r->authorization));
	MUST(strnlen(r->idempotency_key, sizeof(r->idempotency_key)) <
	     sizeof(r->idempotency_key));
	MUST(r->body_len <= BODY_MAX && r->body[r->body_len] == '\0');
	MUST(!r->body_too_large || r->body_len == BODY_MAX);
}

/* --- libfcgi as the oracle --- */

/* Of some requests it leaks 48 bytes; LeakSanitizer asks here what to forgive,
 * by this name. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libfcgi";
}

/* The value of a parameter that libfcgi has exactly once. */
static const char *
only_value(const FCGX_Request *theirs, const char *name)
{
	size_t len = strlen(name);
	const char *value = NULL;

	for (char **p = theirs->envp; *p != NULL; p++) {
		if (strncmp(*p, name, len) != 0 || (*p)[len] != '=')
			continue;
		if (value != NULL)
			return NULL;
		value = *p + len + 1;
	}
	return value;
}

/* Theirs ends at a NUL; ours has a DEL there, and is cut where it is long. */
static void
must_be_same_value(
    const FCGX_Request *theirs, const char *name, const char *ours, size_t size)
{
	const char *value = only_value(theirs, name);
	size_t len;

	if (value == NULL)
		return;
	len = strlen(value);
	if (len < size) {
		MUST(strncmp(ours, value, len) == 0);
		MUST(ours[len] == '\0' || ours[len] == 0x7f);
	} else
		MUST(strncmp(ours, value, size - 1) == 0);
}

static void
must_be_same_request(struct record_request *ours, FCGX_Request *theirs)
{
	static char body[BODY_MAX + 2];
	int n = FCGX_GetStr(body, sizeof(body), theirs->in);

	MUST(ours->id == theirs->requestId);
	MUST(ours->keep == (theirs->keepConnection != 0));
	MUST((size_t)(n < BODY_MAX ? n : BODY_MAX) == ours->body_len);
	MUST((n > BODY_MAX) == ours->body_too_large);
	MUST(memcmp(body, ours->body, ours->body_len) == 0);
	must_be_same_value(
	    theirs, "REQUEST_METHOD", ours->method, sizeof(ours->method));
	if (ours->path[0] != '\0') /* "" also stands for too long */
		must_be_same_value(
		    theirs, "SCRIPT_NAME", ours->path, sizeof(ours->path));
	must_be_same_value(theirs, "CONTENT_TYPE", ours->content_type,
	    sizeof(ours->content_type));
	must_be_same_value(theirs, "HTTP_AUTHORIZATION", ours->authorization,
	    sizeof(ours->authorization));
	must_be_same_value(theirs, "HTTP_IDEMPOTENCY_KEY",
	    ours->idempotency_key, sizeof(ours->idempotency_key));
}

/*
 * Things that libfcgi gets wrong and no web server sends: it loses its place
 * behind a padded first record, and behind a padded end of the parameters; and
 * in its environment of NAME=value a name with "=" in it looks like another
 * one.  data is a whole request.
 */
static bool
is_fair(const uint8_t *data, size_t size)
{
	size_t at = 0;

	if (memchr(data, '=', size) != NULL)
		return false;
	while (at < size) {
		const uint8_t *header = data + at;
		size_t content = (size_t)header[4] << 8 | header[5];
		size_t padding = header[6];
		bool ends_params = header[1] == FCGI_PARAMS && content == 0;

		if (padding > 0 && (at == 0 || ends_params))
			return false;
		at += FCGI_HEADER_LEN + content + padding;
	}
	return true;
}

static void
compare_with_libfcgi(
    const uint8_t *data, size_t size, struct record_request *ours)
{
	FCGX_Request theirs;
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST(write(pair[0], data, size) == (ssize_t)size);
	shutdown(pair[0], SHUT_WR); /* whoever waits for more must not */
	FCGX_InitRequest(&theirs, -1, 0);
	theirs.ipcFd = pair[1];
	theirs.keepConnection = 1;
	MUST(FCGX_Accept_r(&theirs) == 0);
	must_be_same_request(ours, &theirs);
	FCGX_Free(&theirs, 0);
	close(pair[0]);
	close(pair[1]);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	MUST(FCGX_Init() == 0);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct record_request r;
	enum record_result result = read_exact(data, size, &r);
	size_t step = size / 64 + 1;

	if (result == RECORD_WHOLE) {
		must_be_in_bounds(&r);
		if (is_fair(data, size))
			compare_with_libfcgi(data, size, &r);
	}
	for (size_t len = 0; len < size; len += step)
		check_beginning(data, len, result);
	return 0;
}
