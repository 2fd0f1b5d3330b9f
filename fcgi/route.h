/* Which handler answers which request. */
#ifndef FLASHSALE_ROUTE_H
#define FLASHSALE_ROUTE_H

#include "fastcgi.h"

/* The fastcgi_handler of the responder. */
void route_request(struct exchange *);

#endif
