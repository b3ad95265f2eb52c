/*
 * sum.c - adds up the bytes of a remote object as if they were in memory.
 *
 *	sum URL [FILE]
 *
 * With FILE, which must have the same bytes, every byte is compared, too. Prints the sum, and what
 * the kernel and the network had to do for it. A page that can't be fetched raises SIGBUS here; a
 * program that wants an error instead calls pagein_populate() before it touches the range.
 *
 * Build it with an installed libpagein: cc sum.c $(pkg-config --cflags --libs libpagein)
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pagein.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The library's words say what failed, and of what. */
static int fail(void)
{
	fprintf(stderr, "sum: %s\n", pagein_last_error());
	return EXIT_FAILURE;
}

/* Remote memory is memory: this function can't tell, and need not. */
static uint64_t sum_bytes(const unsigned char *bytes, size_t length)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += bytes[i];
	return sum;
}

/* -1: it can't be opened, or has another length or another byte. */
static int compare_file(const char *path, const void *bytes, size_t length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = -1;
	struct stat status;
	void *local;

	if (fd >= 0 && fstat(fd, &status) == 0 && (size_t)status.st_size == length) {
		local = length ? mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
		if (local != MAP_FAILED)
			result = length && memcmp(local, bytes, length) != 0 ? -1 : 0;
		if (local && local != MAP_FAILED)
			munmap(local, length);
	}
	if (fd >= 0)
		close(fd);
	printf("%s: %s\n", path, result ? "differs" : "the same, byte for byte");
	return result;
}

static int print_stats(struct pagein_map *map, uint64_t sum)
{
	struct pagein_stats of_map, of_process;

	if (pagein_stats(map, &of_map) < 0 || pagein_stats(NULL, &of_process) < 0)
		return fail();
	printf("sum %" PRIu64 ": %zu bytes, %" PRIu64 " faults, %" PRIu64 " requests, %" PRIu64
	       " bytes fetched\n",
		sum, pagein_length(map), of_map.faults, of_process.requests,
		of_process.bytes_fetched);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct pagein_object *object;
	struct pagein_map *map;
	uint64_t sum;
	int status;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "Usage: sum URL [FILE]\n");
		return 2;
	}
	if (pagein_open(argv[1], NULL, &object) < 0)
		return fail();
	if (pagein_map(object, 0, 0, 0, &map) < 0)
		return fail();
	sum = sum_bytes(pagein_address(map), pagein_length(map));
	status = print_stats(map, sum);
	if (argc == 3 && compare_file(argv[2], pagein_address(map), pagein_length(map)) < 0)
		status = EXIT_FAILURE;
	pagein_unmap(map);
	pagein_close(object);
	return status;
}
