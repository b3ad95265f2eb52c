/*
 * lazysql.c - asks a remote SQLite database, of which only the pages that the answer needs are
 * fetched.
 *
 *	lazysql URL QUERY
 *
 * sqlite3_deserialize() takes a database in memory; a map is memory. SQLite copies pages out of it
 * with memcpy(3), so a page that can't be fetched would raise SIGBUS in there: pagein_guard() makes
 * an error of it. What SQLite had allocated until then is lost with it, for the guard jumps: fine
 * for a program that ends with an error.
 *
 * Build it with an installed libpagein: cc lazysql.c $(pkg-config --cflags --libs libpagein
 *sqlite3)
 */
#include <inttypes.h>
#include <pagein.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct query {
	struct pagein_map *map;
	const char *text;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "lazysql: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

static int print_row(void *context, int count, char **values, char **names)
{
	(void)context;
	(void)names;
	for (int i = 0; i < count; i++)
		printf("%s%s", i ? "|" : "", values[i] ? values[i] : "");
	printf("\n");
	return 0;
}

/* Read-only: SQLite neither writes to the memory nor frees it. */
static int run(void *context)
{
	struct query *query = context;
	sqlite3_int64 length = (sqlite3_int64)pagein_length(query->map);
	char *message = NULL;
	int status = EXIT_SUCCESS;
	sqlite3 *db;

	if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
		sqlite3_deserialize(db, "main", pagein_address(query->map), length, length,
			SQLITE_DESERIALIZE_READONLY) != SQLITE_OK)
		status = fail("deserialize", sqlite3_errmsg(db));
	else if (sqlite3_exec(db, query->text, print_row, NULL, &message) != SQLITE_OK)
		status = fail("query", message);
	sqlite3_free(message);
	sqlite3_close(db);
	return status;
}

int main(int argc, char **argv)
{
	struct pagein_object *object;
	struct pagein_stats stats;
	struct query query;
	int status;

	if (argc != 3) {
		fprintf(stderr, "Usage: lazysql URL QUERY\n");
		return 2;
	}
	query.text = argv[2];
	if (pagein_open(argv[1], NULL, &object) < 0 || pagein_map(object, 0, 0, 0, &query.map) < 0)
		return fail("open", pagein_last_error());
	status = pagein_guard(run, &query);
	if (status < 0)
		status = fail("fetch", strerror(-status));
	if (pagein_stats(query.map, &stats) == 0)
		fprintf(stderr, "%" PRIu64 " of %zu KiB were fetched\n", stats.bytes_filled >> 10,
			pagein_length(query.map) >> 10);
	pagein_unmap(query.map);
	pagein_close(object);
	return status;
}
