/* figures_private.h - the tables of figures.c, for figures_text.c. */
#pragma once

#include "figures.h"

enum figure_type { COUNTER, GAUGE };

struct figure_row {
	const char *name;
	enum figure_type type;
	const char *unit;
	unsigned doors; /* 1 << enum figures_door */
	const char *help;
};
extern const struct figure_row figure_rows[FIGURE_COUNT];

struct spread_row {
	const char *name;
	const char *help;
};
extern const struct spread_row figures_spread_rows[SPREAD_COUNT];

/* Counters with a label; the number is at offset in struct object_figures. */
#define OBJECT_ROWS 5
struct object_row {
	const char *name;
	const char *unit;
	size_t offset;
	const char *help;
};
extern const struct object_row figures_object_rows[OBJECT_ROWS];

/* ... in struct thread_figures. */
#define THREAD_ROWS 2
struct thread_row {
	const char *name;
	const char *unit;
	size_t offset;
	bool is_ns; /* shown as seconds */
	const char *help;
};
extern const struct thread_row figures_thread_rows[THREAD_ROWS];
