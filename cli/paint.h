/*
 * Colours and tables for a person's eyes.  Colours only on a terminal, and
 * never with NO_COLOR set (https://no-color.org).
 */
#ifndef FLASHSALE_PAINT_H
#define FLASHSALE_PAINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "err.h"

enum colour { PLAIN, FAINT, GOOD, CAUTION, BAD };

/* Text in that colour. */
void paint(FILE *, enum colour, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define CELL_SIZE 80

struct column {
	const char *title;
	bool is_number; /* to the right */
};

struct cell {
	enum colour colour;
	char text[CELL_SIZE];
};

struct table {
	const struct column *columns; /* borrowed */
	size_t width;		      /* columns */
	struct cell *cells;	      /* row by row */
	size_t n;		      /* cells */
};

void table_init(struct table *, const struct column *, size_t width);
/* The next cell; rows follow from the number of columns. */
void table_put(struct table *, enum colour, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* Print it, aligned, and free it. */
void table_finish(struct table *, FILE *);

#endif
