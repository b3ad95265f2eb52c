/*
 * stat.c - `pagein stat SOURCE`: what the server tells of an object, or how many names are in a
 * directory. Main thread; at most three requests.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "commands.h"
#include "options.h"
#include "remote.h"
#include "scheme.h"

static int entry_count(const struct index_entry *entry, void *context)
{
	uint64_t *count = context;

	(void)entry;
	++*count;
	return 0;
}

static int directory_print(struct place *place)
{
	uint64_t count = 0;
	cleanup_free char *shown = scheme_told(place->url);
	int err = shown ? place_list(place, entry_count, &count) : -ENOMEM;

	progress_end(&place->progress);
	if (err == 0)
		printf("url:      %s\ntype:     directory\nentries:  %" PRIu64 "\n", shown, count);
	return err;
}

static int object_print(struct place *place)
{
	const char *validator = version_validator(&place->version);
	cleanup_free char *shown = scheme_told(place->location);
	char time[TIME_TEXT_MAX];

	if (!shown)
		return -ENOMEM;
	progress_end(&place->progress);
	printf("url:      %s\ntype:     object\nsize:     %" PRIu64 "\n", shown,
		place->version.size);
	printf("version:  %s\n", *validator ? validator : "-");
	printf("modified: %s\n", time_text(place->version.mtime_s, time));
	printf("ranges:   %s\n", place->has_ranges ? "yes" : "no");
	return 0;
}

int command_stat(const struct options *options)
{
	struct place place cleanup(place_finish);
	int err = place_find(&place, "stat", options->operands[0], options);

	if (err == 0 && place.is_directory)
		err = directory_print(&place);
	else if (err == 0)
		err = object_print(&place);
	return err < 0 ? place_complain("stat", options->operands[0], place.reason) : EXIT_SUCCESS;
}
