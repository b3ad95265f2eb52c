/*
 * options_table.h - the rows that options.c parses by, and what options_table.c makes of them. Not
 * for others.
 */
#pragma once

#include "options.h"

enum option_type {
	OPTION_FLAG,
	OPTION_STRING,
	OPTION_UINT,
	OPTION_MODE,    /* octal */
	OPTION_DECIMAL, /* in millionths */
	OPTION_ID,      /* of a user or group; "self" is ID_SELF, which is beyond any max */
	OPTION_SIZE,
	OPTION_DURATION,
	OPTION_CHOICE,  /* the index of a name */
	OPTION_CHOICES, /* names joined by commas: 1 << index of each */
	OPTION_RANGE,
};

/* One option of one or more subcommands. */
struct option_row {
	const char *name;
	char letter; /* or 0 */
	enum option_type type;
	bool in_o;            /* may also be written -o name=value */
	unsigned subcommands; /* 1 << enum subcommand */
	size_t field;         /* offset in struct options */
	const char *value;    /* the default, as one would write it; NULL: false, or no string */
	const char *argument; /* its name in the help */
	const char *help;
	const char *const *choices; /* up to a NULL */
	uint64_t min, max;          /* of a number, a size in bytes, a duration in ns */
};

extern const struct option_row option_rows[];
extern const size_t option_row_count;

struct subcommand_row {
	const char *name;
	const char *operands; /* their names in the help */
	size_t operands_min, operands_max;
	const char *help;
};

extern const struct subcommand_row subcommand_rows[SUBCOMMAND_COUNT];

static inline bool option_taken(const struct option_row *row, enum subcommand subcommand)
{
	return row->subcommands & 1u << subcommand;
}

#define OPTION_CHOICES_ROOM 128

/* Returns to, filled with "a, b, c". */
char *option_choices(const struct option_row *row, char to[OPTION_CHOICES_ROOM]);
