/*
 * A network that takes its time: passes TCP connections on, and what comes
 * back from there only after some milliseconds.  It knows no protocol.
 *
 *   late LISTEN_PORT TARGET_PORT MILLISECONDS
 *
 * on 127.0.0.1 both.  It ends with its parent, or when it is told to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ev.h>

#define PIECE_MAX 65536 /* bytes of one read */

/* Bytes on their way back. */
struct piece {
	struct piece *next;
	double due; /* ev_time() */
	size_t len, written;
	char bytes[];
};

/* A client, and the server it is connected to. */
struct link {
	struct ev_io client, server;
	struct ev_timer timer;
	struct piece *first, **last;
};

static struct ev_loop *loop;
static struct sockaddr_in target;
static double delay; /* seconds */

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
close_link(struct link *l)
{
	struct piece *next;

	ev_io_stop(loop, &l->client);
	ev_io_stop(loop, &l->server);
	ev_timer_stop(loop, &l->timer);
	close(l->client.fd);
	close(l->server.fd);
	for (struct piece *p = l->first; p != NULL; p = next) {
		next = p->next;
		free(p);
	}
	free(l);
}

/* Whole or not at all: what is asked is a few kilobytes. */
static void
on_client(struct ev_loop *unused, struct ev_io *io, int events)
{
	static char bytes[PIECE_MAX];
	struct link *l = io->data;
	ssize_t n = recv(io->fd, bytes, sizeof(bytes), 0);

	(void)unused;
	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || send(l->server.fd, bytes, (size_t)n, MSG_NOSIGNAL) != n)
		close_link(l);
}

static void
wait_for_next(struct link *l)
{
	double wait = l->first->due - ev_now(loop);

	ev_timer_set(&l->timer, wait > 0 ? wait : 0, 0);
	ev_timer_start(loop, &l->timer);
}

static void
on_timer(struct ev_loop *unused, struct ev_timer *timer, int events)
{
	struct link *l = timer->data;
	struct piece *p = l->first;
	ssize_t n = send(l->client.fd, p->bytes + p->written,
	    p->len - p->written, MSG_NOSIGNAL);

	(void)unused;
	(void)events;
	if (n < 0 && errno != EAGAIN) {
		close_link(l);
		return;
	}
	p->written += n < 0 ? 0 : (size_t)n;
	if (p->written < p->len) {
		p->due = ev_now(loop) + 0.001;
	} else {
		l->first = p->next;
		if (l->first == NULL)
			l->last = &l->first;
		free(p);
	}
	if (l->first != NULL)
		wait_for_next(l);
}

static void
on_server(struct ev_loop *unused, struct ev_io *io, int events)
{
	static char bytes[PIECE_MAX];
	struct link *l = io->data;
	ssize_t n = recv(io->fd, bytes, sizeof(bytes), 0);
	struct piece *p;

	(void)unused;
	(void)events;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || (p = malloc(sizeof(*p) + (size_t)n)) == NULL) {
		close_link(l);
		return;
	}
	*p = (struct piece){.due = ev_now(loop) + delay, .len = (size_t)n};
	memcpy(p->bytes, bytes, (size_t)n);
	*l->last = p;
	l->last = &p->next;
	if (l->first == p)
		wait_for_next(l);
}

static void
watch(struct link *l, struct ev_io *io, int fd,
    void (*fn)(struct ev_loop *, struct ev_io *, int))
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ev_io_init(io, fn, fd, EV_READ);
	io->data = l;
	ev_io_start(loop, io);
}

static void
on_listener(struct ev_loop *unused, struct ev_io *io, int events)
{
	struct link *l = calloc(1, sizeof(*l));
	int client = accept(io->fd, NULL, NULL);
	int server = socket(AF_INET, SOCK_STREAM, 0);

	(void)unused;
	(void)events;
	if (l == NULL || client < 0 || server < 0)
		die("late: accept");
	if (connect(server, (struct sockaddr *)&target, sizeof(target)) != 0)
		die("late: connect");
	l->last = &l->first;
	ev_timer_init(&l->timer, on_timer, 0, 0);
	l->timer.data = l;
	watch(l, &l->client, client, on_client);
	watch(l, &l->server, server, on_server);
}

static int
listen_on(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)address, sizeof(*address)) != 0 ||
	    listen(fd, 1024) != 0)
		die("late: listen");
	return fd;
}

static struct sockaddr_in
loopback(const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((in_port_t)strtoul(port, NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int
main(int argc, char **argv)
{
	struct sockaddr_in here;
	struct ev_io listener;

	if (argc != 4) {
		fprintf(stderr, "usage: late LISTEN TARGET MILLISECONDS\n");
		return 64;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	loop = ev_default_loop(0);
	here = loopback(argv[1]);
	target = loopback(argv[2]);
	delay = strtod(argv[3], NULL) / 1000;
	ev_io_init(&listener, on_listener, listen_on(&here), EV_READ);
	ev_io_start(loop, &listener);
	ev_run(loop, 0);
	return 0;
}
