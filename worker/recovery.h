/*
 * Recovery: when Redis has restarted or failed over, orders may be missing
 * there that buyers were told of.  This process notices (by the run id), and
 * rebuilds every sale from MySQL and what survived before it sells again.
 * It may run on several hosts: they take turns.
 */
#ifndef WORKER_RECOVERY_H
#define WORKER_RECOVERY_H

#include "config.h"

/* The life of the process, until it is asked to leave. Its exit code. */
int recovery_main(const struct config *);

#endif
