/*
 * Passing open connections from a responder that leaves to those that take
 * over (SCM_RIGHTS, unix(7)), so that neither a reload nor a restart closes a
 * connection that the web server keeps.
 *
 * They go into the queue of the listening socket, each in a connection of its
 * own, and wait there for who accepts next, with whatever the web server writes
 * into them meanwhile: that may be the new responders of a reload, or a program
 * that is started later.  Only a unix socket can carry them; where we listen on
 * another, those of a reload go through a socket pair that all responders
 * inherit.
 */
#ifndef FLASHSALE_HANDOVER_H
#define FLASHSALE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/types.h>

/* Before the first fork. pair[0] is for sending, pair[1] for receiving. */
bool handover_open(int pair[2]);

/* Pass fd on; the caller closes its own afterwards. False: no room now. */
bool handover_send(int channel, int fd);

/* A connection that somebody has passed on, or -1 when there is none. */
int handover_receive(int channel);

/* Pass fd on into the queue of a unix socket, likewise.  False: it is of
 * another kind, its queue is full, or we may not connect to it. */
bool handover_enqueue(int listen_fd, int fd);

/*
 * May fd have come from handover_enqueue()?  Whoever reaches the socket can
 * pass a descriptor, and no event loop survives each kind of them: epoll does
 * not take all, and closing a TCP socket that lingers waits for its peer.
 */
bool handover_is_sound(int fd);

/*
 * recv() of what comes first in an accepted connection.  When it brought a
 * connection from handover_enqueue(), that is *passed, else -1.
 */
ssize_t handover_read(int fd, void *buffer, size_t size, int *passed);

#endif
