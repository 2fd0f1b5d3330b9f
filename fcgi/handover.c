#include "handover.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* One descriptor as ancillary data needs an aligned buffer. */
union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

bool
handover_open(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
}

bool
handover_send(int channel, int fd)
{
	char byte = 'c'; /* a message needs content to carry a descriptor */
	struct iovec content = {.iov_base = &byte, .iov_len = 1};
	union control control;
	struct msghdr message = {.msg_iov = &content,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header;

	memset(&control, 0, sizeof(control));
	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

bool
handover_enqueue(int listen_fd, int fd)
{
	struct sockaddr_un where;
	socklen_t size = sizeof(where);
	int carrier;
	bool done;

	if (getsockname(listen_fd, (struct sockaddr *)&where, &size) != 0 ||
	    where.sun_family != AF_UNIX)
		return false;
	carrier =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (carrier < 0)
		return false;
	done = connect(carrier, (struct sockaddr *)&where, size) == 0 &&
	       handover_send(carrier, fd);
	close(carrier);
	return done;
}

bool
handover_is_sound(int fd)
{
	int domain = -1, type = -1;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       domain == AF_UNIX && type == SOCK_STREAM;
}

ssize_t
handover_read(int fd, void *buffer, size_t size, int *passed)
{
	struct iovec content = {.iov_base = buffer, .iov_len = size};
	union control control;
	struct msghdr message = {.msg_iov = &content,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = CMSG_LEN(sizeof(int))}; /* no room for two */
	const struct cmsghdr *header;
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*passed = -1;
	if (n < 0)
		return n;
	header = CMSG_FIRSTHDR(&message);
	if (header != NULL && header->cmsg_level == SOL_SOCKET &&
	    header->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(header), sizeof(*passed));
	return n;
}

int
handover_receive(int channel)
{
	char byte;
	int fd;

	return handover_read(channel, &byte, 1, &fd) == 1 ? fd : -1;
}
