/*
 * The gatekeeper of a host: keeps the marker files by which the web server
 * refuses buyers without asking a responder, as long as every one of them
 * would be refused.
 */
#ifndef FLASHSALE_GATEKEEPER_H
#define FLASHSALE_GATEKEEPER_H

#include "config.h"

/* Serve until asked to leave. Returns the exit code. */
int gatekeeper_run(const struct config *);

#endif
