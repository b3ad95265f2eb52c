/*
 * ranking.c - see ranking.h. Owned by a core, on its loop; no malloc, so that a fault may raise an
 * object.
 *
 * R1 a row's object knows its row (object->row), and an object that has one is in it   R2 a row's
 * own counts are those of objects that have ended, and no open object's
 *
 * The counts of rows only grow, so that the least of them when they were looked at last (floor)
 * tells most objects at once that they are not among them. Objects whose names are equal as far as
 * they are kept have a row each while they are open, and are added up by who shows them.
 */
#include "ranking.h"

#include <string.h>

#include "object_private.h"
#include "url.h"

static const struct object_figures *row_counts(const struct ranking_row *row)
{
	return row->object ? &row->object->counts : &row->counts;
}

static void row_name(const struct object *object, char to[OBJECT_NAME_MAX + 1])
{
	url_tell_in(object->remote->url, to, OBJECT_NAME_MAX + 1);
}

static void row_take(struct ranking_row *row, struct object *object)
{
	row->object = object;
	row->counts = (struct object_figures){0};
	object->row = row;
}

void ranking_open(struct ranking *ranking, struct object *object)
{
	char name[OBJECT_NAME_MAX + 1];

	row_name(object, name);
	for (unsigned i = 0; i < ranking->count; i++) {
		struct ranking_row *row = &ranking->rows[i];

		if (row->object || strcmp(row->name, name) != 0)
			continue;
		object->counts = row->counts;
		row_take(row, object);
		return;
	}
}

void ranking_close(struct ranking *ranking, struct object *object)
{
	struct ranking_row *row = object->row;

	(void)ranking;
	if (!row)
		return;
	row->counts = object->counts;
	row->object = NULL;
	object->row = NULL;
}

static struct ranking_row *ranking_least(struct ranking *ranking)
{
	struct ranking_row *least = &ranking->rows[0];

	for (unsigned i = 1; i < ranking->count; i++)
		if (row_counts(&ranking->rows[i])->used_bytes < row_counts(least)->used_bytes)
			least = &ranking->rows[i];
	ranking->floor = row_counts(least)->used_bytes;
	return least;
}

/* It has no row. A few ns, unless it belongs among the most used: then some 100. */
static void ranking_rise(struct ranking *ranking, struct object *object)
{
	struct ranking_row *row;

	if (ranking->count < RANKING_ROWS) {
		row = &ranking->rows[ranking->count++];
	} else {
		if (object->counts.used_bytes <= ranking->floor)
			return;
		row = ranking_least(ranking);
		if (object->counts.used_bytes <= ranking->floor)
			return;
		if (row->object)
			row->object->row = NULL;
	}
	row_name(object, row->name);
	row_take(row, object);
}

void object_count_use(struct object *object, uint64_t uses, uint64_t bytes)
{
	object->counts.uses += uses;
	object->counts.used_bytes += bytes;
	/* Not while a fault waits: it will be filled. */
	if (!object->row && bytes > 0)
		ranking_rise(&object->core->ranking, object);
}

void ranking_note_failure(struct object *object)
{
	object->counts.failures++;
	if (!object->row)
		ranking_rise(&object->core->ranking, object);
}

void ranking_add_figures(const struct ranking *ranking, struct figures *to)
{
	for (unsigned i = 0; i < ranking->count; i++)
		figures_add_object(to, ranking->rows[i].name, row_counts(&ranking->rows[i]));
}
