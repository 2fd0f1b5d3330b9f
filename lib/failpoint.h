/*
 * Named points of an order's journey at which a test may end or delay a
 * process.  Ordinary builds have none of it: the macro is empty and nothing
 * is linked; `make FAIL=1` builds programs that have it.
 *
 * FAILPOINTS names a folder.  A file in it called like a point arms that
 * point, in all processes, also those that run already.  It holds
 *
 *   ACTION[:MS] [N]
 *
 * kill (SIGKILL to itself), exit (at once, status 1) or sleep:MS, at the
 * N-th pass (default 1) of all processes together.  Whoever acts takes the
 * file away first: it happens once, the successor of a killed process lives,
 * and who wrote the file sees that it happened.
 *
 * A file appears whole by being written elsewhere and renamed.
 *
 * The points, in the order of the journey; what is done is named first:
 *
 *   fcgi_reserved        Redis has the order | it goes to SQS
 *   fcgi_acknowledged    SQS has (or refused) it | the buyer is answered
 *   fcgi_replied         the buyer is answered | the outbox entry goes
 *   keeper_acknowledged  the keeper sent it | the outbox entry goes
 *   worker_received      SQS gave it out | the transaction begins
 *   worker_written       in the transaction | commit
 *   worker_committed     MySQL has it | SQS is told, and Redis
 *   worker_deleted       SQS has deleted it | perhaps Redis knows already
 *   worker_settled       Redis knows | perhaps SQS has deleted it already
 *   recovery_begun       a sale's stock is full again | its orders take it
 *   recovery_copied      a sale's orders are in Redis | it is not open yet
 *   recovery_finished    the sales are rebuilt | fs:epoch does not say so
 *   master_forking       the master, before each child
 *   master_forked        and after
 */
#ifndef FLASHSALE_FAILPOINT_H
#define FLASHSALE_FAILPOINT_H

#ifdef FAILPOINTS
#define FAILPOINT(name) failpoint_pass(name)
#else
#define FAILPOINT(name) ((void)0)
#endif

void failpoint_pass(const char *name);

#endif
