/*
 * Whom to believe among Sentinels: three stand-ins that say what the test
 * wants them to say, each on a port of its own, or nothing.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "eventually.h"
#include "log.h"
#include "sentinel.h"

#define TIMEOUT_MS 300
#define SENTINELS 3

struct standin {
	ev_io accept, read;
	bool is_deaf;
	const char *host; /* NULL: knows no such master */
	int port, epoch;
	unsigned asked;
};

static struct {
	struct ev_loop *loop;
	ev_timer tick;
	struct standin standins[SENTINELS];
	struct sentinel *sentinel;
	char host[64];
	int port;
	unsigned told;
} t;

/* The answers to one question of each kind. */
static size_t
answer(struct standin *s, const char *question, char *buf, size_t size)
{
	char port[8], epoch[8];

	snprintf(port, sizeof(port), "%d", s->port);
	snprintf(epoch, sizeof(epoch), "%d", s->epoch);
	if (strncmp(question, "PING", 4) == 0)
		return (size_t)snprintf(buf, size, "+PONG\r\n");
	if (s->host == NULL)
		return (size_t)snprintf(buf, size,
		    *question == 'M' ? "-ERR No such master with that name\r\n"
				     : "*-1\r\n");
	if (*question == 'M')
		return (size_t)snprintf(buf, size,
		    "*4\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n"
		    "$%zu\r\n%s\r\n",
		    strlen(epoch), epoch);
	s->asked++;
	return (size_t)snprintf(buf, size, "*2\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
	    strlen(s->host), s->host, strlen(port), port);
}

static void
on_question(struct ev_loop *loop, ev_io *io, int events)
{
	static const char *const words[] = {
	    "PING\r\n", "MASTER\r\n", "get-master-addr-by-name\r\n"};
	struct standin *s = io->data;
	char in[4096], out[4096], *at;
	ssize_t n = read(io->fd, in, sizeof(in) - 1);
	size_t len = 0;

	(void)events;
	if (n <= 0) {
		ev_io_stop(loop, io);
		close(io->fd);
		return;
	}
	in[n] = '\0';
	for (at = in; *at != '\0'; at++)
		for (size_t i = 0; i < 3; i++)
			if (strncmp(at, words[i], strlen(words[i])) == 0)
				len +=
				    answer(s, at, out + len, sizeof(out) - len);
	if (!s->is_deaf)
		assert_int_equal(write(io->fd, out, len), len);
}

static void
on_accept(struct ev_loop *loop, ev_io *io, int events)
{
	struct standin *s = io->data;
	int fd = accept(io->fd, NULL, NULL);

	(void)events;
	assert_true(fd >= 0);
	if (ev_is_active(&s->read)) {
		ev_io_stop(loop, &s->read);
		close(s->read.fd);
	}
	ev_io_init(&s->read, on_question, fd, EV_READ);
	s->read.data = s;
	ev_io_start(loop, &s->read);
}

static int
listen_somewhere(struct standin *s)
{
	struct sockaddr_in here = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(here);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&here, size), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &size), 0);
	ev_io_init(&s->accept, on_accept, fd, EV_READ);
	s->accept.data = s;
	ev_io_start(t.loop, &s->accept);
	return ntohs(here.sin_port);
}

static void
on_told(const char *host, int port, void *arg)
{
	assert_ptr_equal(arg, &t);
	snprintf(t.host, sizeof(t.host), "%s", host);
	t.port = port;
	t.told++;
}

static void
say(size_t i, const char *host, int port, int epoch)
{
	t.standins[i].host = host;
	t.standins[i].port = port;
	t.standins[i].epoch = epoch;
}

static void
say_all(const char *host, int port, int epoch)
{
	for (size_t i = 0; i < SENTINELS; i++)
		say(i, host, port, epoch);
}

/* Each that answers has been asked twice more. */
static void
wait_for_answers(void)
{
	for (size_t i = 0; i < SENTINELS; i++) {
		unsigned before = t.standins[i].asked;

		if (!t.standins[i].is_deaf && t.standins[i].host != NULL)
			EVENTUALLY(t.loop, t.standins[i].asked >= before + 2);
	}
}

static void
begin(void)
{
	struct redis_url url = {.master = "m", .sentinels_n = SENTINELS};

	for (size_t i = 0; i < SENTINELS; i++) {
		strncpy(url.sentinels[i].host, "127.0.0.1",
		    sizeof(url.sentinels[i].host) - 1);
		url.sentinels[i].port = listen_somewhere(&t.standins[i]);
	}
	assert_int_equal(
	    sentinel_new(&t.sentinel, t.loop, &url, TIMEOUT_MS, on_told, &t),
	    ERR_OK);
}

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	eventually_start_tick(t.loop, &t.tick);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	sentinel_free(t.sentinel);
	for (size_t i = 0; i < SENTINELS; i++) {
		if (ev_is_active(&t.standins[i].read))
			close(t.standins[i].read.fd);
		close(t.standins[i].accept.fd);
	}
	ev_loop_destroy(t.loop);
	return 0;
}

static void
test_told_once_and_at_each_move(void **state)
{
	(void)state;
	say_all("10.0.0.1", 7001, 0);
	begin();
	EVENTUALLY(t.loop, t.told == 1);
	assert_string_equal(t.host, "10.0.0.1");
	assert_int_equal(t.port, 7001);
	wait_for_answers();
	assert_int_equal(t.told, 1);
	say_all("10.0.0.1", 7002, 1);
	EVENTUALLY(t.loop, t.told == 2);
	assert_int_equal(t.port, 7002);
}

/* One that knows more than the others is enough; one that knows less, though
 * nobody else answers, is not. */
static void
test_the_newest_holds(void **state)
{
	(void)state;
	say_all("old", 1, 4);
	begin();
	EVENTUALLY(t.loop, t.told == 1);
	wait_for_answers();
	say(2, "new", 2, 5);
	EVENTUALLY(t.loop, t.told == 2);
	assert_string_equal(t.host, "new");
	wait_for_answers();
	t.standins[2].is_deaf = true;
	wait_for_answers();
	EVENTUALLY(t.loop, t.standins[0].asked > 6);
	assert_int_equal(t.told, 2);
}

/* Epochs that begin again, when all agree that they do. */
static void
test_sentinels_that_were_set_up_anew(void **state)
{
	(void)state;
	say_all("old", 1, 7);
	begin();
	EVENTUALLY(t.loop, t.told == 1);
	wait_for_answers();
	say_all("new", 2, 0);
	EVENTUALLY(t.loop, t.told == 2);
	assert_string_equal(t.host, "new");
}

static void
test_any_of_them_will_do(void **state)
{
	(void)state;
	t.standins[0].is_deaf = true;
	say(2, "here", 3, 0);
	begin();
	EVENTUALLY(t.loop, t.told == 1);
	assert_string_equal(t.host, "here");
	wait_for_answers();
	say(2, NULL, 0, 0);
	t.standins[0].is_deaf = false;
	say(0, "there", 4, 1);
	EVENTUALLY(t.loop, t.told == 2);
	assert_string_equal(t.host, "there");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_told_once_and_at_each_move),
	    TEST(test_the_newest_holds),
	    TEST(test_sentinels_that_were_set_up_anew),
	    TEST(test_any_of_them_will_do),
	};

	/* That one knows no such master is an error. */
	log_init("test_sentinel", LOG_LEVEL_ERROR, false);
	return cmocka_run_group_tests_name("sentinel", tests, NULL, NULL);
}
