/* The socket that the web server connects to. */
#ifndef FLASHSALE_LISTENER_H
#define FLASHSALE_LISTENER_H

#include <stddef.h>

#include "err.h"

/*
 * where: a socket path, HOST:PORT, or "" for the socket that spawn-fcgi,
 * lighttpd or systemd has put on descriptor 0.  Is it one of these?
 */
enum err listener_check(const char *where, char *why, size_t size) MUST_CHECK;

/* where has been checked.  Dies with the reason when there is no socket to be
 * had. */
int listener_open(const char *where);

/* Remove the socket's file, if it was made here. */
void listener_remove(const char *where);

#endif
