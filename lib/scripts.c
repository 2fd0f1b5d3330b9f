/*
 * Embeds lua/NAME.lua as script_NAME: a program carries the scripts that it
 * was tested with, and a deployment has no file to forget.
 */
#include "scripts.h"

#define EMBED(which)                                                         \
	__asm__(".section .rodata\n"                                         \
		"lua_" #which ":\n"                                          \
		".incbin \"lua/" #which ".lua\"\n"                           \
		"lua_" #which "_end:\n"                                      \
		".byte 0\n"                                                  \
		".previous\n");                                              \
	extern const char lua_##which[] __asm__("lua_" #which);              \
	extern const char lua_##which##_end[] __asm__("lua_" #which "_end"); \
	struct redis_script script_##which = {.name = #which,                \
	    .source = lua_##which,                                           \
	    .source_end = lua_##which##_end}

EMBED(reserve);
EMBED(open);
EMBED(queued);
EMBED(take);
EMBED(settle);
EMBED(state);
EMBED(rebuild);
EMBED(mend);
EMBED(lease);
EMBED(gate);
