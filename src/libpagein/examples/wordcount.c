/*
 * wordcount.c - counts lines, words and bytes of a remote text of any size, as wc(1) does, in as
 * much memory as it is told.
 *
 *	wordcount URL [MEGABYTES]
 *
 * The text may be larger than the machine's memory: what has been read makes room for what comes.
 *
 * Build it with an installed libpagein: cc wordcount.c $(pkg-config --cflags --libs libpagein)
 */
#include <inttypes.h>
#include <pagein.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_MEGABYTES 64

struct counts {
	uint64_t lines;
	uint64_t words;
};

static int fail(void)
{
	fprintf(stderr, "wordcount: %s\n", pagein_last_error());
	return EXIT_FAILURE;
}

static int is_space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct counts count(const unsigned char *text, size_t length)
{
	struct counts counts = {0};
	int in_word = 0;

	for (size_t i = 0; i < length; i++) {
		counts.lines += text[i] == '\n';
		counts.words += !in_word && !is_space(text[i]);
		in_word = !is_space(text[i]);
	}
	return counts;
}

int main(int argc, char **argv)
{
	struct pagein_options options = PAGEIN_OPTIONS_INIT;
	struct pagein_object *object;
	struct pagein_stats stats;
	struct pagein_map *map;
	struct counts counts;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "Usage: wordcount URL [MEGABYTES]\n");
		return 2;
	}
	options.memory = (uint64_t)(argc == 3 ? atoi(argv[2]) : DEFAULT_MEGABYTES) << 20;
	if (pagein_open(argv[1], &options, &object) < 0)
		return fail();
	if (pagein_map(object, 0, 0, 0, &map) < 0)
		return fail();
	/* It is read once, from its beginning to its end. */
	pagein_advise(map, 0, 0, PAGEIN_SEQUENTIAL);
	counts = count(pagein_address(map), pagein_length(map));
	if (pagein_stats(map, &stats) < 0)
		return fail();
	printf("%" PRIu64 " %" PRIu64 " %zu\n", counts.lines, counts.words, pagein_length(map));
	fprintf(stderr, "%" PRIu64 " KiB are resident at the end\n", stats.resident_bytes >> 10);
	pagein_unmap(map);
	pagein_close(object);
	return EXIT_SUCCESS;
}
