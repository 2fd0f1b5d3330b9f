/* The FastCGI edge against raw FastCGI records. */
#define _GNU_SOURCE /* O_PATH */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../fcgi/fastcgi.h"
#include "../../fcgi/handover.h"
#include "../records.h"

/* --- A web server --- */

static void
make_request(struct bytes *out, bool keep, const char *path, const char *body,
    size_t body_len)
{
	static struct bytes params;
	char length[24];

	params.len = out->len = 0;
	snprintf(length, sizeof(length), "%zu", body_len);
	add_text(&params, "REQUEST_METHOD", "POST");
	add_text(&params, "SCRIPT_NAME", path);
	add_text(&params, "CONTENT_LENGTH", length);
	add_text(&params, "CONTENT_TYPE", "application/json");
	add_request(out, keep, &params, body, body_len);
}

/* --- The edge under test --- */

static struct {
	struct ev_loop *loop;
	struct fastcgi *edge;
	struct sockaddr_un address;
	int listen_fd, pair[2];
	unsigned requests;
	char path[512], body[BODY_MAX + 1];
	bool too_large;
	bool hold; /* do not answer yet */
	struct exchange *held;
	bool queue_is_shut; /* nobody can connect any more */
	bool drained;
} t;

static void
answer(struct exchange *x)
{
	char body[600];
	int n = snprintf(body, sizeof(body), "{\"path\":\"%s\"}", x->path);

	fastcgi_reply(
	    x, 202, "application/json", "X-Test: 1\r\n", body, (size_t)n);
}

static void
handler(struct exchange *x)
{
	t.requests++;
	snprintf(t.path, sizeof(t.path), "%s", x->path);
	snprintf(t.body, sizeof(t.body), "%s", x->body);
	t.too_large = x->body_too_large;
	if (t.hold)
		t.held = x;
	else
		answer(x);
}

static void
on_drained(void *arg)
{
	(void)arg;
	t.drained = true;
}

static struct fastcgi *
start_edge(void)
{
	struct fastcgi_options options = {.listen_fd = t.listen_fd,
	    .handover = {t.pair[0], t.pair[1]},
	    .max_connections = 8,
	    .handler = handler,
	    .drained = on_drained};
	struct fastcgi *edge;

	assert_int_equal(fastcgi_new(&edge, t.loop, &options), ERR_OK);
	return edge;
}

static int
set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.loop = ev_loop_new(EVFLAG_AUTO);
	t.address.sun_family = AF_UNIX;
	snprintf(t.address.sun_path, sizeof(t.address.sun_path),
	    "/tmp/test_fastcgi.%ld", (long)getpid());
	unlink(t.address.sun_path);
	t.listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
	    bind(t.listen_fd, (struct sockaddr *)&t.address, sizeof(t.address)),
	    0);
	assert_int_equal(listen(t.listen_fd, 16), 0);
	assert_true(handover_open(t.pair));
	t.edge = start_edge();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	fastcgi_drain(t.edge, true);
	for (int i = 0; i < 1000 && !t.drained; i++)
		ev_run(t.loop, EVRUN_ONCE);
	assert_true(t.drained);
	fastcgi_free(t.edge);
	ev_loop_destroy(t.loop);
	close(t.listen_fd);
	close(t.pair[0]);
	close(t.pair[1]);
	unlink(t.address.sun_path);
	return 0;
}

static int
client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(
	    connect(fd, (struct sockaddr *)&t.address, sizeof(t.address)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void
turn(void)
{
	for (int i = 0; i < 20; i++)
		ev_run(t.loop, EVRUN_NOWAIT);
}

/* Read what has come; returns 0 at the end of the connection, -1 if open. */
static int
receive(int fd, char *out, size_t size)
{
	ssize_t n;
	size_t len = 0;

	turn();
	while ((n = read(fd, out + len, size - len - 1)) > 0)
		len += (size_t)n;
	for (size_t i = 0; i < len; i++)
		if (out[i] == '\0')
			out[i] = '.';
	out[len] = '\0';
	return n == 0 ? 0 : -1;
}

static void
send_request(int fd, bool keep, const char *path, const char *body)
{
	static struct bytes request;

	make_request(&request, keep, path, body, strlen(body));
	assert_int_equal(
	    write(fd, request.data, request.len), (ssize_t)request.len);
}

/* --- Tests --- */

static void
test_kept_connection_serves_on(void **state)
{
	char reply[4096];
	int fd = client();

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		send_request(fd, true, "/buy/a", "{\"userId\":\"u1\"}");
		assert_int_equal(receive(fd, reply, sizeof(reply)), -1);
		assert_int_equal(t.requests, i);
		assert_non_null(strstr(reply, "Status: 202 Accepted\r\n"));
		assert_non_null(strstr(reply, "X-Test: 1\r\n"));
		assert_non_null(strstr(reply, "{\"path\":\"/buy/a\"}"));
		assert_string_equal(t.body, "{\"userId\":\"u1\"}");
		assert_int_equal(fastcgi_connections(t.edge), 1);
	}
	close(fd);
	turn();
	assert_int_equal(fastcgi_connections(t.edge), 0);
}

static void
test_other_connection_is_closed(void **state)
{
	char reply[4096];
	int fd = client();

	(void)state;
	send_request(fd, false, "/x", "");
	assert_int_equal(receive(fd, reply, sizeof(reply)), 0);
	assert_non_null(strstr(reply, "{\"path\":\"/x\"}"));
	assert_int_equal(fastcgi_connections(t.edge), 0);
	close(fd);
}

static void
test_large_body_leaves_the_connection_clean(void **state)
{
	static char body[20001];
	char reply[4096];
	int fd = client();

	(void)state;
	memset(body, 'x', 20000);
	send_request(fd, true, "/big", body);
	receive(fd, reply, sizeof(reply));
	assert_true(t.too_large);
	send_request(fd, true, "/next", "{}");
	receive(fd, reply, sizeof(reply));
	assert_int_equal(t.requests, 2);
	assert_string_equal(t.path, "/next");
	assert_false(t.too_large);
	close(fd);
}

static void
test_body_limit_to_the_byte(void **state)
{
	static char body[BODY_MAX + 2];
	char reply[4096];
	int fd = client();

	(void)state;
	memset(body, 'x', BODY_MAX);
	send_request(fd, true, "/", body);
	receive(fd, reply, sizeof(reply));
	assert_false(t.too_large);
	assert_int_equal(strlen(t.body), BODY_MAX);
	body[BODY_MAX] = 'x';
	send_request(fd, true, "/", body);
	receive(fd, reply, sizeof(reply));
	assert_true(t.too_large);
	close(fd);
}

static void
test_peer_that_leaves_is_no_new_request(void **state)
{
	int fd = client();

	(void)state;
	t.hold = true;
	send_request(fd, true, "/slow", "{}");
	turn();
	assert_int_equal(t.requests, 1);
	close(fd);
	turn();
	assert_int_equal(t.requests, 1);
	answer(t.held);
	turn();
	assert_int_equal(fastcgi_connections(t.edge), 0);
}

static void
test_garbage_ends_only_its_connection(void **state)
{
	char reply[4096];
	int bad = client(), good = client();

	(void)state;
	assert_int_equal(write(bad, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	assert_int_equal(receive(bad, reply, sizeof(reply)), 0);
	send_request(good, true, "/ok", "{}");
	receive(good, reply, sizeof(reply));
	assert_non_null(strstr(reply, "{\"path\":\"/ok\"}"));
	close(bad);
	close(good);
}

/* In pieces of every size, slowly: and meanwhile others are served. */
static void
test_request_in_pieces(void **state)
{
	static struct bytes request;
	char reply[4096];
	int slow = client(), other = client();

	(void)state;
	make_request(&request, true, "/slow", "{}", 2);
	for (size_t i = 0; i < request.len; i++) {
		assert_int_equal(write(slow, request.data + i, 1), 1);
		turn();
		assert_int_equal(t.requests, i + 1 == request.len);
	}
	receive(slow, reply, sizeof(reply));
	assert_non_null(strstr(reply, "{\"path\":\"/slow\"}"));
	assert_int_equal(write(slow, request.data, 20), 20);
	turn();
	send_request(other, true, "/other", "{}");
	receive(other, reply, sizeof(reply));
	assert_non_null(strstr(reply, "{\"path\":\"/other\"}"));
	close(slow);
	close(other);
}

static void
test_too_many_wait_in_the_backlog(void **state)
{
	int fds[10];
	char reply[4096];

	(void)state;
	for (int i = 0; i < 10; i++)
		fds[i] = client();
	turn();
	assert_int_equal(fastcgi_connections(t.edge), 8);
	for (int i = 0; i < 10; i++) {
		send_request(fds[i], false, "/", "");
		receive(fds[i], reply, sizeof(reply));
		close(fds[i]);
	}
	turn();
	assert_int_equal(t.requests, 10);
}

/* A reload: the connection and even a request that is already written into
 * it reach the next generation. */
static void
hand_over_and_go_on(void)
{
	struct fastcgi *old = t.edge;
	char reply[4096];
	int idle = client(), busy = client();

	send_request(idle, true, "/1", "{}");
	receive(idle, reply, sizeof(reply));
	t.hold = true;
	send_request(busy, true, "/2", "{}");
	turn();
	if (t.queue_is_shut)
		unlink(t.address.sun_path);
	fastcgi_drain(old, true);
	turn();
	t.hold = false;
	t.edge = start_edge();
	send_request(idle, true, "/3", "{}");
	assert_int_equal(receive(idle, reply, sizeof(reply)), -1);
	assert_non_null(strstr(reply, "{\"path\":\"/3\"}"));
	answer(t.held);
	send_request(busy, true, "/4", "{}");
	assert_int_equal(receive(busy, reply, sizeof(reply)), -1);
	assert_non_null(strstr(reply, "{\"path\":\"/2\"}"));
	assert_non_null(strstr(reply, "{\"path\":\"/4\"}"));
	for (int i = 0; i < 100 && !t.drained; i++)
		ev_run(t.loop, EVRUN_ONCE);
	assert_true(t.drained);
	t.drained = false;
	fastcgi_free(old);
	close(idle);
	close(busy);
}

static void
test_connections_survive_a_handover(void **state)
{
	(void)state;
	hand_over_and_go_on();
}

static void
test_connections_survive_without_the_queue(void **state)
{
	(void)state;
	t.queue_is_shut = true;
	hand_over_and_go_on();
}

static void
pass(int fd)
{
	int carrier = client();

	assert_true(handover_send(carrier, fd));
	turn();
	close(carrier);
	close(fd);
}

/* Anybody at the socket can pass a descriptor. */
static void
test_only_connections_are_taken_over(void **state)
{
	char reply[4096];
	int pipe_ends[2], fd = client();

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	pass(open("/", O_PATH)); /* epoll refuses it */
	pass(open("/dev/null", O_RDWR));
	pass(socket(AF_INET, SOCK_STREAM, 0)); /* its close() may wait */
	pass(socket(AF_UNIX, SOCK_DGRAM, 0));
	pass(pipe_ends[0]);
	close(pipe_ends[1]);
	send_request(fd, true, "/1", "{}");
	receive(fd, reply, sizeof(reply));
	assert_non_null(strstr(reply, "{\"path\":\"/1\"}"));
	assert_int_equal(fastcgi_connections(t.edge), 1);
	close(fd);
}

/* A restart: there is nobody yet, and the listening socket stays. */
static void
test_connections_survive_a_restart(void **state)
{
	char reply[4096];
	int idle = client();

	(void)state;
	send_request(idle, true, "/1", "{}");
	receive(idle, reply, sizeof(reply));
	fastcgi_drain(t.edge, false);
	for (int i = 0; i < 100 && !t.drained; i++)
		ev_run(t.loop, EVRUN_ONCE);
	assert_true(t.drained);
	t.drained = false;
	fastcgi_free(t.edge);
	send_request(idle, true, "/2", "{}");
	t.edge = start_edge();
	assert_int_equal(receive(idle, reply, sizeof(reply)), -1);
	assert_non_null(strstr(reply, "{\"path\":\"/2\"}"));
	turn();
	assert_int_equal(fastcgi_connections(t.edge), 1);
	close(idle);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_kept_connection_serves_on),
	    TEST(test_other_connection_is_closed),
	    TEST(test_large_body_leaves_the_connection_clean),
	    TEST(test_body_limit_to_the_byte),
	    TEST(test_peer_that_leaves_is_no_new_request),
	    TEST(test_garbage_ends_only_its_connection),
	    TEST(test_request_in_pieces),
	    TEST(test_too_many_wait_in_the_backlog),
	    TEST(test_connections_survive_a_handover),
	    TEST(test_connections_survive_without_the_queue),
	    TEST(test_connections_survive_a_restart),
	    TEST(test_only_connections_are_taken_over),
	};

	return cmocka_run_group_tests_name("fastcgi", tests, NULL, NULL);
}
