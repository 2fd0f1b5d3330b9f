/* The Lua scripts of lua/, as the assembler put them into the program. */
#ifndef FLASHSALE_SCRIPTS_H
#define FLASHSALE_SCRIPTS_H

#include "redis.h"

extern struct redis_script script_reserve;
extern struct redis_script script_open;
extern struct redis_script script_queued;
extern struct redis_script script_take;
extern struct redis_script script_settle;
extern struct redis_script script_state;
extern struct redis_script script_rebuild;
extern struct redis_script script_mend;
extern struct redis_script script_lease;
extern struct redis_script script_gate;

#endif
