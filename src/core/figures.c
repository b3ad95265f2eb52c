/*
 * figures.c - the list of figures, and how those of several loops become one.
 *
 * Pure, on whatever thread has the struct. The list is one table for each of what has no label,
 * what is of an object, of a thread, and how long something took; figures_text.c prints by them.
 *
 * Objects of several loops are put together by name; there are FIGURES_ROOM of them at the most, so
 * that a search is a walk over them. Rejected: a hash table, for what is done when somebody looks.
 */
#include "figures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figures_private.h"
#include "utf8.h"

#define MOUNT (1u << FIGURES_MOUNT)
#define PROCESS (1u << FIGURES_PROCESS)
#define BOTH (MOUNT | PROCESS)

/* clang-format off */
const struct figure_row figure_rows[FIGURE_COUNT] = {
	[FIGURE_READS] = {"pagein_reads", COUNTER, "", MOUNT,
		"Reads that the kernel asked for."},
	[FIGURE_READ_HITS] = {"pagein_read_hits", COUNTER, "", MOUNT,
		"Reads that were answered at once, from what was here."},
	[FIGURE_READ_FAILURES] = {"pagein_read_failures", COUNTER, "", MOUNT,
		"Reads that were answered with an error."},
	[FIGURE_READ_BYTES] = {"pagein_read_bytes", COUNTER, "bytes", MOUNT,
		"Bytes that reads were answered with."},
	[FIGURE_FAULTS] = {"pagein_faults", COUNTER, "", PROCESS,
		"Page faults that were served."},
	[FIGURE_FAULT_HITS] = {"pagein_fault_hits", COUNTER, "", PROCESS,
		"Page faults that were filled at once, from what was kept beside the maps."},
	[FIGURE_FILLS] = {"pagein_fills", COUNTER, "", PROCESS,
		"Calls of the kernel that filled something."},
	[FIGURE_FILLED_BYTES] = {"pagein_filled_bytes", COUNTER, "bytes", PROCESS,
		"Bytes that were filled, readahead included."},
	[FIGURE_ZERO_PAGES] = {"pagein_zero_pages", COUNTER, "", PROCESS,
		"Filled pages in which all is zero, and which take no memory."},
	[FIGURE_POISONED_PAGES] = {"pagein_poisoned_pages", COUNTER, "", PROCESS,
		"Pages that have failed."},
	[FIGURE_EVICTED_PAGES] = {"pagein_evicted_pages", COUNTER, "", PROCESS,
		"Pages that left memory for others, under a limit."},
	[FIGURE_REFILLED_PAGES] = {"pagein_refilled_pages", COUNTER, "", PROCESS,
		"Of the evicted pages, those that came back without a request."},
	[FIGURE_HUGE_FILLS] = {"pagein_huge_fills", COUNTER, "", PROCESS,
		"Fills of 2 MiB that became one huge page."},
	[FIGURE_HUGE_FALLBACKS] = {"pagein_huge_fallbacks", COUNTER, "", PROCESS,
		"2 MiB of a map with huge pages that did not become one."},
	[FIGURE_REQUESTS] = {"pagein_requests", COUNTER, "", BOTH,
		"Requests for ranges of objects that were sent, retries and second ones included."},
	[FIGURE_FETCHED_BYTES] = {"pagein_fetched_bytes", COUNTER, "bytes", BOTH,
		"Bytes received in the bodies of their answers."},
	[FIGURE_QUESTIONS] = {"pagein_questions", COUNTER, "", BOTH,
		"Other requests that were sent: for names, sizes and versions; opening a file is one, "
		"which may bring its first bytes."},
	[FIGURE_QUESTION_BYTES] = {"pagein_question_bytes", COUNTER, "bytes", BOTH,
		"Bytes received in the bodies of their answers."},
	[FIGURE_RETRIES] = {"pagein_retries", COUNTER, "", BOTH,
		"Requests for ranges that were tried again."},
	[FIGURE_HEDGES] = {"pagein_hedges", COUNTER, "", BOTH,
		"Of the requests for ranges, second ones for the same bytes, as the first was late."},
	[FIGURE_HEDGES_WON] = {"pagein_hedges_won", COUNTER, "", BOTH,
		"Of these, those that were answered before the first."},
	[FIGURE_CONNECTIONS_OPENED] = {"pagein_connections_opened", COUNTER, "", BOTH,
		"Connections to servers that were opened for ranges."},
	[FIGURE_CONNECTIONS] = {"pagein_connections", GAUGE, "", BOTH,
		"Open connections to servers for ranges."},
	[FIGURE_TRANSFERS] = {"pagein_transfers", GAUGE, "", BOTH,
		"Ranges on their way, or waiting for a connection or another attempt."},
	[FIGURE_OBJECTS_OPEN] = {"pagein_objects", GAUGE, "", BOTH,
		"Open objects."},
	[FIGURE_CACHED_BYTES] = {"pagein_cached_bytes", GAUGE, "bytes", BOTH,
		"Memory that holds fetched bytes, without the kernel's page cache and the maps."},
	[FIGURE_OPEN_FILES] = {"pagein_open_files", GAUGE, "", MOUNT,
		"Files that somebody has open."},
	[FIGURE_INODES] = {"pagein_inodes", GAUGE, "", MOUNT,
		"Files and directories that the kernel knows."},
	[FIGURE_NAMES] = {"pagein_names", GAUGE, "", MOUNT,
		"Names in listings that are kept."},
	[FIGURE_MAPS] = {"pagein_maps", GAUGE, "", PROCESS,
		"Maps."},
	[FIGURE_RESIDENT_BYTES] = {"pagein_resident_bytes", GAUGE, "bytes", PROCESS,
		"Bytes of maps that were filled and not dropped since."},
	[FIGURE_PINNED_BYTES] = {"pagein_pinned_bytes", GAUGE, "bytes", PROCESS,
		"Bytes of pinned pages, resident or not."},
};

const struct spread_row figures_spread_rows[SPREAD_COUNT] = {
	[SPREAD_WAIT] = {"pagein_wait_seconds",
		"How long readers and faults waited, from being read to their answer; of reads, those "
		"that were not answered at once."},
	[SPREAD_QUEUE] = {"pagein_queue_seconds",
		"From the wish for a range to the request that brought it, failed ones included."},
	[SPREAD_FIRST_BYTE] = {"pagein_first_byte_seconds",
		"From such a request to the beginning of its answer."},
	[SPREAD_BODY] = {"pagein_body_seconds",
		"From there to the last byte of the range."},
};

#define OBJECT(member) offsetof(struct object_figures, member)
const struct object_row figures_object_rows[OBJECT_ROWS] = {
	{"pagein_object_uses", "", OBJECT(uses),
		"Reads of an object, or page faults. The objects of which most bytes were used are named."},
	{"pagein_object_used_bytes", "bytes", OBJECT(used_bytes),
		"Bytes of an object that were read, or filled."},
	{"pagein_object_requests", "", OBJECT(requests),
		"Requests for ranges of an object, without second ones."},
	{"pagein_object_fetched_bytes", "bytes", OBJECT(fetched_bytes),
		"Bytes of an object that were received for them."},
	{"pagein_object_failures", "", OBJECT(failures),
		"Ranges of an object that could not be had."},
};

const struct thread_row figures_thread_rows[THREAD_ROWS] = {
	{"pagein_thread_faults", "", offsetof(struct thread_figures, faults), false,
		"How often a thread has waited for a page. The threads that have waited longest are named."},
	{"pagein_thread_stalled_seconds", "seconds", offsetof(struct thread_figures, stalled_ns), true,
		"How long it has waited."},
};
/* clang-format on */

/* ---- the list ----------------------------------------------------------------------------- */

static const char *const types[] = {[COUNTER] = "counter", [GAUGE] = "gauge"};

static struct figure_info info_plain(const struct figure_row *row)
{
	return (struct figure_info){row->name, types[row->type], row->unit, "", row->help,
		{(row->doors & MOUNT) != 0, (row->doors & PROCESS) != 0}};
}

bool figure_info(unsigned index, struct figure_info *ret)
{
	if (index < FIGURE_COUNT) {
		*ret = info_plain(&figure_rows[index]);
		return true;
	}
	index -= FIGURE_COUNT;
	if (index < SPREAD_COUNT) {
		*ret = (struct figure_info){figures_spread_rows[index].name, "histogram", "seconds",
			"", figures_spread_rows[index].help, {true, true}};
		return true;
	}
	index -= SPREAD_COUNT;
	if (index < OBJECT_ROWS) {
		*ret = (struct figure_info){figures_object_rows[index].name, "counter",
			figures_object_rows[index].unit, "object", figures_object_rows[index].help,
			{true, true}};
		return true;
	}
	index -= OBJECT_ROWS;
	if (index >= THREAD_ROWS)
		return false;
	*ret = (struct figure_info){figures_thread_rows[index].name, "counter",
		figures_thread_rows[index].unit, "tid", figures_thread_rows[index].help,
		{false, true}};
	return true;
}

/* ---- sums --------------------------------------------------------------------------------- */

struct figures *figures_create(enum figures_door door)
{
	struct figures *figures = calloc(1, sizeof *figures);

	if (figures)
		figures->door = door;
	return figures;
}

void object_figures_add(struct object_figures *to, const struct object_figures *from)
{
	to->uses += from->uses;
	to->used_bytes += from->used_bytes;
	to->requests += from->requests;
	to->fetched_bytes += from->fetched_bytes;
	to->failures += from->failures;
}

/*
 * What is not text as in a URL: control characters, and bytes that are not UTF-8, since a name may
 * have been cut anywhere. Here and not where it is written, so that no two have the same name
 * there.
 */
static void name_clean(const char *name, char to[OBJECT_NAME_MAX + 1])
{
	const unsigned char *at = (const unsigned char *)name;
	size_t left = strlen(name), used = 0;

	while (left > 0) {
		uint32_t character = 0;
		size_t length = utf8_read(at, left, &character);
		bool shown = length > 0 && character >= ' ' &&
			     !(character >= 0x7f && character < 0xa0);

		if (length == 0)
			length = 1;
		if (used + (shown ? length : 3 * length) > OBJECT_NAME_MAX)
			break;
		if (shown)
			memcpy(to + used, at, length);
		for (size_t i = 0; i < length && !shown; i++)
			sprintf(to + used + 3 * i, "%%%02X", at[i]);
		used += shown ? length : 3 * length;
		at += length;
		left -= length;
	}
	to[used] = '\0';
}

void figures_add_object(
	struct figures *figures, const char *given, const struct object_figures *counts)
{
	struct named_figures *least = NULL, *object;
	char name[OBJECT_NAME_MAX + 1];

	name_clean(given, name);
	for (unsigned i = 0; i < figures->object_count; i++) {
		object = &figures->objects[i];
		if (strcmp(object->name, name) == 0) {
			object_figures_add(&object->counts, counts);
			return;
		}
		if (!least || object->counts.used_bytes < least->counts.used_bytes)
			least = object;
	}
	if (figures->object_count < FIGURES_ROOM)
		least = &figures->objects[figures->object_count++];
	else if (least->counts.used_bytes >= counts->used_bytes)
		return;
	strcpy(least->name, name);
	least->counts = *counts;
}

void figures_add_thread(struct figures *figures, const struct thread_figures *thread)
{
	struct thread_figures *least = NULL, *known;

	for (unsigned i = 0; i < figures->thread_count; i++) {
		known = &figures->threads[i];
		if (known->tid == thread->tid) {
			known->faults += thread->faults;
			known->stalled_ns += thread->stalled_ns;
			return;
		}
		if (!least || known->stalled_ns < least->stalled_ns)
			least = known;
	}
	if (figures->thread_count < FIGURES_ROOM)
		least = &figures->threads[figures->thread_count++];
	else if (least->stalled_ns >= thread->stalled_ns)
		return;
	*least = *thread;
}

void figures_add(struct figures *to, const struct figures *from)
{
	for (unsigned i = 0; i < FIGURE_COUNT; i++)
		to->values[i] += from->values[i];
	for (unsigned i = 0; i < SPREAD_COUNT; i++)
		spread_add(&to->spreads[i], &from->spreads[i]);
	for (unsigned i = 0; i < from->object_count; i++)
		figures_add_object(to, from->objects[i].name, &from->objects[i].counts);
	for (unsigned i = 0; i < from->thread_count; i++)
		figures_add_thread(to, &from->threads[i]);
}

void figures_clear_gauges(struct figures *figures)
{
	for (unsigned i = 0; i < FIGURE_COUNT; i++)
		if (figure_rows[i].type == GAUGE)
			figures->values[i] = 0;
}
