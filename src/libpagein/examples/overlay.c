/*
 * overlay.c - changes a remote object in memory only: a copy-on-write overlay.
 *
 *	overlay URL OFFSET TEXT
 *
 * Writes TEXT at OFFSET, prints which pages that has changed and the sum of all bytes; discards the
 * changes, and prints the sum again. The object stays what it is.
 *
 * Build it with an installed libpagein: cc overlay.c $(pkg-config --cflags --libs libpagein)
 */
#include <inttypes.h>
#include <pagein.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_MAX 16

static int fail(void)
{
	fprintf(stderr, "overlay: %s\n", pagein_last_error());
	return EXIT_FAILURE;
}

static uint64_t sum_bytes(const unsigned char *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += bytes[i];
	return sum;
}

/* The changed pages; -1: they can't be told. */
static int print_dirty(struct pagein_map *map)
{
	struct pagein_range ranges[RANGES_MAX];
	int count = pagein_dirty(map, 0, 0, ranges, RANGES_MAX);

	for (int i = 0; i < count && i < RANGES_MAX; i++)
		printf("changed: %zu+%zu\n", ranges[i].offset, ranges[i].length);
	return count < 0 ? -1 : 0;
}

static int change(struct pagein_map *map, size_t offset, const char *text)
{
	unsigned char *bytes = pagein_address(map);
	size_t length = pagein_length(map);

	/* The only page that this fetches is the one that is written to. */
	memcpy(bytes + offset, text, strlen(text));
	if (print_dirty(map) < 0)
		return fail();
	printf("sum %" PRIu64 "\n", sum_bytes(bytes, length));
	if (pagein_discard(map, 0, 0) < 0 || print_dirty(map) < 0)
		return fail();
	printf("sum %" PRIu64 "\n", sum_bytes(bytes, length));
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct pagein_object *object;
	struct pagein_map *map;
	size_t offset;
	int status;

	if (argc != 4) {
		fprintf(stderr, "Usage: overlay URL OFFSET TEXT\n");
		return 2;
	}
	if (pagein_open(argv[1], NULL, &object) < 0 ||
		pagein_map(object, 0, 0, PAGEIN_PRIVATE, &map) < 0)
		return fail();
	offset = strtoull(argv[2], NULL, 0);
	if (offset > pagein_length(map) || strlen(argv[3]) > pagein_length(map) - offset) {
		fprintf(stderr, "overlay: the object ends before that\n");
		return EXIT_FAILURE;
	}
	status = change(map, offset, argv[3]);
	pagein_unmap(map);
	pagein_close(object);
	return status;
}
