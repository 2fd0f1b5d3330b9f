/*
 * Failpoints: of each pass only an open() that finds nothing, until a test
 * arms the point.  Knows nothing of what the points mean.
 */
#include "failpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define TEXT_MAX 64 /* of what a file holds */

struct armed {
	char action[16];
	long ms;     /* of a sleep */
	long passes; /* until it happens, this one included */
};

static bool
parse(const char *text, struct armed *armed)
{
	armed->ms = 0;
	armed->passes = 1;
	if (sscanf(text, "%15[a-z]:%ld %ld", armed->action, &armed->ms,
		&armed->passes) < 2)
		return sscanf(text, "%15[a-z] %ld", armed->action,
			   &armed->passes) >= 1;
	return true;
}

/* Count this pass in the file, which is locked; the last one removes it. */
static bool
claim(int fd, const char *path, struct armed *armed)
{
	char text[TEXT_MAX + 1] = "";

	if (pread(fd, text, TEXT_MAX, 0) <= 0 || !parse(text, armed))
		return false;
	if (armed->passes <= 1)
		return unlink(path) == 0;
	snprintf(text, sizeof(text), "%s:%ld %ld\n", armed->action, armed->ms,
	    armed->passes - 1);
	if (ftruncate(fd, 0) != 0 ||
	    pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		log_error("failpoint %s: cannot count", path);
	return false;
}

static void
act(const char *name, const struct armed *armed)
{
	struct timespec pause = {
	    .tv_sec = armed->ms / 1000,
	    .tv_nsec = armed->ms % 1000 * 1000000,
	};

	log_warn("failpoint %s: %s", name, armed->action);
	if (strcmp(armed->action, "kill") == 0)
		kill(getpid(), SIGKILL);
	else if (strcmp(armed->action, "exit") == 0)
		_exit(EXIT_FAILED);
	else if (strcmp(armed->action, "sleep") == 0)
		nanosleep(&pause, NULL);
	else
		log_error("failpoint %s: no such action", name);
}

void
failpoint_pass(const char *name)
{
	const char *folder = getenv("FAILPOINTS");
	struct armed armed;
	char path[512];
	bool mine;
	int fd;

	if (folder == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	mine = flock(fd, LOCK_EX) == 0 && claim(fd, path, &armed);
	close(fd);
	if (mine)
		act(name, &armed);
}
