/*
 * ranking.h - what the objects of one loop were used for, by name: of those that are open, and of
 * the most used of those that were.
 *
 * An object counts in itself (object->counts). The most used RANKING_ROWS have a row here, which is
 * found again by its name when the object is opened the next time. One that is not among them takes
 * the place of the least used when it has been used for more. All on the core's loop.
 */
#pragma once

#include "figures.h"

#define RANKING_ROWS 64

struct object;

struct ranking {
	unsigned count;
	uint64_t floor; /* no row was used for less, when all were looked at last */
	struct ranking_row {
		struct object *object; /* NULL: none of this name is open that counts here */
		char name[OBJECT_NAME_MAX + 1];
		struct object_figures counts; /* of one that is not open */
	} rows[RANKING_ROWS];
};

/* A new object goes on where one of its name has ended. */
void ranking_open(struct ranking *ranking, struct object *object);
void ranking_close(struct ranking *ranking, struct object *object);

/* A range of it could not be had. object_count_use() is in object.h, for the doors. */
void ranking_note_failure(struct object *object);

void ranking_add_figures(const struct ranking *ranking, struct figures *to);
