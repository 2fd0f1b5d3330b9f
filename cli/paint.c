/* Colours and aligned tables. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#include "paint.h"

static const char *
colour_code(FILE *file, enum colour colour)
{
	static const char *const codes[] = {
	    "", "\033[2m", "\033[32m", "\033[33m", "\033[1;31m"};
	const char *no_color = getenv("NO_COLOR");

	if ((no_color != NULL && no_color[0] != '\0') || !isatty(fileno(file)))
		return "";
	return codes[colour];
}

void
paint(FILE *file, enum colour colour, const char *fmt, ...)
{
	const char *code = colour_code(file, colour);
	va_list args;

	fputs(code, file);
	va_start(args, fmt);
	vfprintf(file, fmt, args);
	va_end(args);
	if (code[0] != '\0')
		fputs("\033[0m", file);
}

void
table_init(struct table *t, const struct column *columns, size_t width)
{
	memset(t, 0, sizeof(*t));
	t->columns = columns;
	t->width = width;
}

void
table_put(struct table *t, enum colour colour, const char *fmt, ...)
{
	struct cell *cells;
	va_list args;

	if (t->n % t->width == 0) { /* a new row */
		cells = reallocarray(t->cells, t->n + t->width, sizeof(*cells));
		if (cells == NULL)
			fatal(EXIT_OSERR, "out of memory");
		t->cells = cells;
	}
	t->cells[t->n].colour = colour;
	va_start(args, fmt);
	vsnprintf(t->cells[t->n].text, CELL_SIZE, fmt, args);
	va_end(args);
	t->n++;
}

static int
column_width(const struct table *t, size_t column)
{
	size_t widest = strlen(t->columns[column].title), i;

	for (i = column; i < t->n; i += t->width)
		if (strlen(t->cells[i].text) > widest)
			widest = strlen(t->cells[i].text);
	return (int)widest;
}

static void
print_cell(const struct table *t, size_t column, enum colour colour,
    const char *text, FILE *file)
{
	int width = column_width(t, column), len = (int)strlen(text);
	bool last = column + 1 == t->width;

	fprintf(
	    file, "%*s", t->columns[column].is_number ? width - len : 0, "");
	paint(file, colour, "%s", text);
	if (last)
		fputc('\n', file);
	else
		fprintf(file, "%*s",
		    (t->columns[column].is_number ? 0 : width - len) + 2, "");
}

void
table_finish(struct table *t, FILE *file)
{
	size_t row, i;

	for (i = 0; i < t->width; i++)
		print_cell(t, i, FAINT, t->columns[i].title, file);
	for (row = 0; row < t->n; row += t->width)
		for (i = 0; i < t->width; i++) {
			const struct cell *cell = &t->cells[row + i];

			print_cell(t, i, cell->colour, cell->text, file);
		}
	free(t->cells);
	t->cells = NULL;
}
