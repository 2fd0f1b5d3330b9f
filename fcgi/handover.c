#include "handover.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

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

int
handover_receive(int channel)
{
	char byte;
	struct iovec content = {.iov_base = &byte, .iov_len = 1};
	union control control;
	struct msghdr message = {.msg_iov = &content,
	    .msg_iovlen = 1,
	    .msg_control = control.bytes,
	    .msg_controllen = sizeof(control.bytes)};
	const struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(channel, &message, MSG_DONTWAIT) != 1)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header != NULL && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}
