/* The socket that the web server connects to. */
#ifndef FLASHSALE_LISTENER_H
#define FLASHSALE_LISTENER_H

/*
 * where: a socket path, HOST:PORT, or "" for the socket that spawn-fcgi,
 * lighttpd or systemd has put on descriptor 0.  Dies with the reason when
 * there is none to be had.
 */
int listener_open(const char *where);

/* Remove the socket's file, if it was made here. */
void listener_remove(const char *where);

#endif
