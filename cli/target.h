/*
 * Where an attack goes: an http:// URL taken apart, and its address found.
 * TLS is left out on purpose: it would measure itself, not the engine.
 */
#ifndef FLASHSALE_TARGET_H
#define FLASHSALE_TARGET_H

#include <stddef.h>
#include <sys/socket.h>

#include "err.h"

struct target {
	char authority[256]; /* "shop.example:8080", for the Host header */
	char host[256];	     /* without brackets and port */
	char port[6];
	char prefix[256]; /* path without a final slash, often "" */
	struct sockaddr_storage address;
	socklen_t address_len;
};

/* Take an URL apart. ERR_BAD_INPUT with the reason in why. Pure. */
enum err target_parse(
    const char *url, struct target *, char *why, size_t why_size) MUST_CHECK;

/*
 * Fill in the address: the first one of the host that takes a connection
 * (which may block for a minute).  ERR_UNAVAILABLE with the reason in why.
 */
enum err target_resolve(struct target *, char *why, size_t why_size) MUST_CHECK;

#endif
