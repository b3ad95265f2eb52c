/*
 * errors.c - what a program does about pages that can't be fetched.
 *
 *	errors URL OFFSET
 *
 * Reads the byte at OFFSET in the three ways there are: asking for the page before it is touched,
 * touching it under a guard, and, where that failed, trying once more.
 *
 * Build it with an installed libpagein: cc errors.c $(pkg-config --cflags --libs libpagein)
 */
#include <pagein.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 5000

static int fail(const char *what, int err)
{
	fprintf(stderr, "errors: %s: %s\n", what, strerror(-err));
	return EXIT_FAILURE;
}

struct reading {
	const unsigned char *address;
	unsigned char byte;
};

static int read_byte(void *context)
{
	struct reading *reading = context;

	reading->byte = *reading->address;
	return 0;
}

/* The whole story of a page that failed. */
static void explain(struct pagein_map *map, const void *address)
{
	struct pagein_error error;

	if (pagein_error(map, address, &error) == 0 && error.error != 0)
		fprintf(stderr, "errors: page at %llu: %s (HTTP %u)\n",
			(unsigned long long)error.offset, error.message, error.status);
}

static int read_with_care(struct pagein_map *map, size_t offset)
{
	struct reading reading = {(const unsigned char *)pagein_address(map) + offset, 0};
	int err = pagein_populate(map, offset, 1, PATIENCE_MS);

	/* 1. Before it is touched: an error, and no signal. */
	if (err < 0)
		fail("populate", err);
	/* 2. Under a guard: what would be SIGBUS is an error. */
	err = pagein_guard(read_byte, &reading);
	if (err < 0) {
		explain(map, reading.address);
		/* 3. The server may be back. */
		pagein_retry(map, offset, 1);
		err = pagein_guard(read_byte, &reading);
	}
	if (err < 0)
		return fail("read", err);
	printf("%u\n", reading.byte);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct pagein_options options = PAGEIN_OPTIONS_INIT;
	struct pagein_object *object;
	struct pagein_map *map;
	int err, status;

	if (argc != 3) {
		fprintf(stderr, "Usage: errors URL OFFSET\n");
		return 2;
	}
	options.timeout_ms = PATIENCE_MS;
	err = pagein_open(argv[1], &options, &object);
	if (err < 0)
		return fail(pagein_last_error(), err);
	err = pagein_map(object, 0, 0, 0, &map);
	if (err < 0)
		return fail(pagein_last_error(), err);
	status = read_with_care(map, strtoull(argv[2], NULL, 0));
	pagein_unmap(map);
	pagein_close(object);
	return status;
}
