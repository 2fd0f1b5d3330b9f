/*
 * A redis-server of a test's own: empty, on a unix socket, no port, no file.
 * Include cmocka.h before it.
 */
#ifndef FLASHSALE_TESTS_REDIS_SERVER_H
#define FLASHSALE_TESTS_REDIS_SERVER_H

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eventually.h"
#include "redis.h"

extern char **environ;

struct redis_server {
	char dir[64], path[96], url[128];
	pid_t pid;
};

/* Also again, after redis_server_kill(). */
static inline void
redis_server_start(struct redis_server *s)
{
	char socket[] = "--unixsocket", port[] = "--port", zero[] = "0",
	     save[] = "--save", none[] = "", dir[] = "--dir",
	     log[] = "--logfile", null[] = "/dev/null", name[] = "redis-server";
	char *argv[] = {name, port, zero, socket, s->path, save, none, dir,
	    s->dir, log, null, NULL};

	assert_int_equal(
	    posix_spawnp(&s->pid, name, NULL, NULL, argv, environ), 0);
}

static inline void
redis_server_new(struct redis_server *s)
{
	snprintf(s->dir, sizeof(s->dir), "/tmp/flashsale-test.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/s", s->dir);
	snprintf(s->url, sizeof(s->url), "unix://%s", s->path);
	redis_server_start(s);
}

static inline void
redis_server_kill(const struct redis_server *s)
{
	kill(s->pid, SIGKILL);
	kill(s->pid, SIGCONT);
	waitpid(s->pid, NULL, 0);
}

static inline void
redis_server_free(const struct redis_server *s)
{
	redis_server_kill(s);
	unlink(s->path);
	rmdir(s->dir);
}

/* A new server, and a connection to it that is ready. */
static inline struct redis *
redis_server_connect(
    struct redis_server *s, struct ev_loop *loop, unsigned timeout_ms)
{
	static ev_timer tick;
	struct redis *redis;
	char why[128];

	eventually_start_tick(loop, &tick);
	redis_server_new(s);
	assert_int_equal(
	    redis_new(&redis, loop, s->url, timeout_ms, why, sizeof(why)),
	    ERR_OK);
	EVENTUALLY(loop, redis_is_ready(redis));
	return redis;
}

#endif
