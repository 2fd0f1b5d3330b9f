/* A bar on stderr while something runs; silent when that is no terminal. */
#ifndef FLASHSALE_PROGRESS_H
#define FLASHSALE_PROGRESS_H

#include <stdint.h>

#include "err.h"

/* Draw or redraw it; the text stands behind the bar. */
void progress_draw(uint64_t done, uint64_t total, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Wipe it off, before other output. */
void progress_clear(void);

#endif
