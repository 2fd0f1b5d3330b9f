/* The progress bar. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"

#define BAR_WIDTH 30

static bool
is_shown(void)
{
	static int shown = -1;

	if (shown < 0)
		shown = isatty(STDERR_FILENO);
	return shown;
}

void
progress_draw(uint64_t done, uint64_t total, const char *fmt, ...)
{
	char bar[BAR_WIDTH + 1];
	size_t filled;
	va_list args;

	if (!is_shown())
		return;
	filled = total == 0 || done >= total
		     ? BAR_WIDTH
		     : (size_t)(done * BAR_WIDTH / total);
	memset(bar, ' ', BAR_WIDTH);
	memset(bar, '=', filled);
	bar[BAR_WIDTH] = '\0';
	fprintf(stderr, "\r[%s] ", bar);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputs("\033[K", stderr);
	fflush(stderr);
}

void
progress_clear(void)
{
	if (is_shown())
		fputs("\r\033[K", stderr);
}
