#define _GNU_SOURCE /* nftw, dprintf */
#include "markers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "exit_codes.h"
#include "log.h"
#include "uuid.h"

#define NAME_SIZE 64
#define FILE_SIZE 512

/* Links are made for that many tenths of a second ahead. */
#define TENTHS_AHEAD 8

#define QUIET 10.0 /* seconds without a failure, and all is well again */

struct markers {
	char dir[256];
	char name[NAME_SIZE];
	int dir_fd;	     /* -1: there is none just now */
	int own_fd;	     /* DIR/NAME/POST, or -1 */
	bool lost;	     /* one of them was removed, so it is empty */
	double failed;	     /* clock_seconds() of the last failure, or 0 */
	int64_t first, last; /* tenths of a second that have a link of ours */
	int64_t seen;	     /* the tenth of the last extension */
};

static bool reopen(struct markers *);

/* --- Failures --- */

/* Ten times a second something can fail: only the first is told.  Where it
 * was to be made in a directory that is open, ENOENT says this was removed. */
static void
complain(struct markers *m, bool in_open_directory)
{
	if (in_open_directory && errno == ENOENT)
		m->lost = true;
	if (m->failed == 0)
		log_warn("gate: %s: %s", m->dir, strerror(errno));
	m->failed = clock_seconds();
}

static void
tell_when_well(struct markers *m)
{
	if (m->failed == 0 || clock_seconds() - m->failed < QUIET)
		return;
	m->failed = 0;
	log_info("gate: %s: works again", m->dir);
}

/* --- Links --- */

static void
name_link(char *name, size_t size, int64_t tenth)
{
	snprintf(name, size, "%" PRId64 ".%d", tenth / 10, (int)(tenth % 10));
}

static bool
link_is_ours(const struct markers *m, const char *link)
{
	char target[NAME_SIZE] = "";

	return readlinkat(m->dir_fd, link, target, sizeof(target) - 1) > 0 &&
	       strcmp(target, m->name) == 0;
}

/* Whoever made them, their time is over. */
static void
remove_past_links(struct markers *m, int64_t now)
{
	char name[NAME_SIZE];

	for (; m->first < now && m->first <= m->last; m->first++) {
		name_link(name, sizeof(name), m->first);
		unlinkat(m->dir_fd, name, 0);
	}
}

static void
remove_own_links(struct markers *m)
{
	char name[NAME_SIZE];

	for (; m->first <= m->last; m->first++) {
		name_link(name, sizeof(name), m->first);
		if (link_is_ours(m, name))
			unlinkat(m->dir_fd, name, 0);
	}
}

void
markers_extend(struct markers *m, int64_t now)
{
	char name[NAME_SIZE];

	if (m->lost && !reopen(m))
		return;
	now /= 100;
	/* The clock was set back: what would be valid again later goes. */
	if (now < m->seen)
		remove_own_links(m);
	m->seen = now;
	/* Late: none is left for now, and those of before go all. */
	remove_past_links(m, m->last < now ? now : now - 1);
	if (m->first > m->last)
		m->first = now, m->last = now - 1;
	while (m->last < now + TENTHS_AHEAD - 1) {
		name_link(name, sizeof(name), ++m->last);
		/* Another gatekeeper, in a reload, may have it already. */
		if (symlinkat(m->name, m->dir_fd, name) != 0 &&
		    errno != EEXIST) {
			complain(m, true);
		}
	}
	tell_when_well(m);
}

/* --- Markers --- */

bool
markers_put(struct markers *m, const char *name, const char *body, size_t len)
{
	static const char draft[] = "draft";
	int fd = openat(
	    m->own_fd, draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool whole;

	if (fd < 0) {
		complain(m, true);
		return false;
	}
	whole = write(fd, body, len) == (ssize_t)len;
	close(fd);
	if (!whole || renameat(m->own_fd, draft, m->own_fd, name + 1) != 0) {
		complain(m, false);
		return false;
	}
	return true;
}

void
markers_remove(struct markers *m, const char *name)
{
	if (m->own_fd >= 0 && unlinkat(m->own_fd, name + 1, 0) != 0 &&
	    errno != ENOENT)
		fatal(EXIT_OSERR, "gate: cannot remove %s%s: %s", m->dir, name,
		    strerror(errno));
}

/* --- The directory --- */

static int
remove_entry(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	remove(path);
	return 0;
}

static void
remove_tree(const char *dir, const char *name)
{
	char path[FILE_SIZE];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* A gatekeeper's directory, whose process is gone? */
static bool
is_orphan(const char *name)
{
	char *end;
	long pid = strtol(name, &end, 10);

	return pid > 0 && *end == '-' && strlen(end) == UUID_TEXT_SIZE &&
	       kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* A link of a time that has passed? */
static bool
is_stale_link(const char *name, int64_t now)
{
	char *end;
	int64_t tenth = strtoll(name, &end, 10) * 10;

	return tenth > 0 && *end == '.' &&
	       tenth + strtol(end + 1, NULL, 10) < now;
}

static void
remove_orphans(const struct markers *m, int64_t now)
{
	struct dirent **entries = NULL;
	int n = scandir(m->dir, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (is_orphan(entries[i]->d_name))
			remove_tree(m->dir, entries[i]->d_name);
		else if (is_stale_link(entries[i]->d_name, now))
			unlinkat(m->dir_fd, entries[i]->d_name, 0);
		free(entries[i]);
	}
	free(entries);
}

/* DIR/PID-UUID/POST/buy */
static bool
make_own(struct markers *m)
{
	char uuid[UUID_TEXT_SIZE], path[NAME_SIZE + 8];

	uuid_v7(uuid);
	snprintf(m->name, sizeof(m->name), "%ld-%s", (long)getpid(), uuid);
	snprintf(path, sizeof(path), "%s/POST", m->name);
	if (mkdirat(m->dir_fd, m->name, 0755) != 0 ||
	    mkdirat(m->dir_fd, path, 0755) != 0)
		return false;
	m->own_fd = openat(m->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return m->own_fd >= 0 && mkdirat(m->own_fd, "buy", 0755) == 0;
}

static bool
enter(struct markers *m)
{
	m->dir_fd = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return m->dir_fd >= 0 && make_own(m);
}

static void
leave(struct markers *m)
{
	remove_own_links(m);
	if (m->own_fd >= 0)
		close(m->own_fd);
	if (m->dir_fd >= 0) {
		if (m->name[0] != '\0')
			remove_tree(m->dir, m->name);
		close(m->dir_fd);
	}
	m->own_fd = m->dir_fd = -1;
}

/* What was removed was empty: there is no marker left, and none comes back. */
static bool
reopen(struct markers *m)
{
	leave(m);
	m->lost = !enter(m);
	if (m->lost)
		complain(m, false);
	return !m->lost;
}

enum err
markers_open(struct markers **out, const char *dir, char *why, size_t size)
{
	struct markers *m = calloc(1, sizeof(*m));
	int64_t now = clock_wall_ms();

	*out = NULL;
	if (m == NULL)
		return ERR_NOMEM;
	m->own_fd = -1;
	m->last = -1;
	snprintf(m->dir, sizeof(m->dir), "%s", dir);
	if (!enter(m)) {
		snprintf(why, size, "GATE_DIR=%s: %s", dir, strerror(errno));
		markers_close(m);
		return ERR_UNAVAILABLE;
	}
	/* One and the same moment: no link may fall between the two. */
	remove_orphans(m, now / 100);
	markers_extend(m, now);
	*out = m;
	return ERR_OK;
}

void
markers_close(struct markers *m)
{
	if (m == NULL)
		return;
	leave(m);
	free(m);
}

const char *
markers_name(const struct markers *m)
{
	return m->name;
}
