/*
 * Passing open connections from a responder that leaves to those that take
 * over, through a socket pair that all of them inherit (SCM_RIGHTS,
 * unix(7)).  So a reload closes no connection that the web server keeps.
 */
#ifndef FLASHSALE_HANDOVER_H
#define FLASHSALE_HANDOVER_H

#include <stdbool.h>

/* Before the first fork. pair[0] is for sending, pair[1] for receiving. */
bool handover_open(int pair[2]);

/* Pass fd on; the caller closes its own afterwards. False: no room now. */
bool handover_send(int channel, int fd);

/* A connection that somebody has passed on, or -1 when there is none. */
int handover_receive(int channel);

#endif
