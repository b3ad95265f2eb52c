/*
 * foreign_test.c - directories of servers that were not written by us: every name that they show is
 * found, with its exact size and time, and (Python's server has no ranges) its bytes.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "index.h"

#define FILES 5
#define MTIME_S 1714979289 /* 2024-05-06 07:08:09 UTC */
#define ENTRIES_MAX 16

static const struct {
	const char *name;
	size_t size;
} files[FILES] = {
	{"a b%", 4097},
	{"empty", 0},
	{"small&<x>", 12},
	{"\xc3\xa4;=+@#?", 300000},
	/* nginx, apache2 and others cut it in the text. */
	{"a very long name that is cut by servers, in the text but not in the link", 1},
};

struct found {
	char name[INDEX_NAME_MAX + 1];
	char href[256];
	bool is_dir;
	uint64_t size;
	time_t mtime;
};

struct listed {
	struct listing listing;
	struct found found[ENTRIES_MAX];
	size_t count;
	bool done;
	int err;
};

static int entry_keep(struct listing *listing, const struct index_entry *entry)
{
	struct listed *self = container_of(listing, struct listed, listing);
	struct found *found = &self->found[self->count];

	/* WebDAV shows what pages hide. */
	if (strcmp(entry->name, ".server") == 0)
		return 0;
	assert_true(self->count++ < ENTRIES_MAX);
	assert_true(strlen(entry->href) < sizeof found->href);
	strcpy(found->name, entry->name);
	strcpy(found->href, entry->href);
	found->is_dir = entry->is_dir;
	found->size = entry->size;
	found->mtime = entry->mtime;
	return 0;
}

static void listing_ended(struct listing *listing, int err)
{
	struct listed *self = container_of(listing, struct listed, listing);

	self->done = true;
	self->err = err;
}

static void list(struct client *client, struct listed *listed, const char *url)
{
	*listed = (struct listed){
		.listing = {.url = url, .entry = entry_keep, .done = listing_ended}};
	assert_int_equal(client->source->ops->list(client->source, &listed->listing), 0);
	client_wait(client, &listed->done);
	if (listed->err < 0)
		fail_msg("%s", listed->listing.error);
}

static const struct found *find(const struct listed *listed, const char *name)
{
	for (size_t i = 0; i < listed->count; i++)
		if (strcmp(listed->found[i].name, name) == 0)
			return &listed->found[i];
	fail_msg("%s: no %s", listed->listing.url, name);
	return NULL;
}

static void make_files(const struct server *server, struct local *locals)
{
	static const struct timespec times[2] = {{MTIME_S, 0}, {MTIME_S, 0}};
	char path[200];

	for (size_t i = 0; i < FILES; i++) {
		local_make(&locals[i], server, files[i].name, files[i].size, i + 1);
		assert_int_equal(utimensat(AT_FDCWD, locals[i].path, times, 0), 0);
	}
	snprintf(path, sizeof path, "%s/sub", server->root);
	assert_int_equal(mkdir(path, 0755), 0);
}

/* What a page tells. */
enum detail {
	NAMES_ONLY, /* no size is exact: each is asked for */
	MINUTES,    /* exact sizes, and times without their seconds */
	EXACT,
};

static void check_file(struct client *client, const struct listed *listed, size_t index,
	const struct local *local, enum detail detail, bool has_ranges)
{
	const struct found *found = find(listed, files[index].name);
	static struct probed probed;
	char url[512];

	assert_false(found->is_dir);
	if (detail == NAMES_ONLY) {
		assert_true(found->size == INDEX_SIZE_UNKNOWN);
		assert_true(found->mtime == INDEX_MTIME_UNKNOWN);
	} else {
		assert_true(found->size == files[index].size);
		assert_true(found->mtime == (detail == EXACT ? MTIME_S : MTIME_S - 9));
	}
	snprintf(url, sizeof url, "%s%s", listed->listing.url, found->href);
	if (client_probe(client, &probed, url, true) < 0)
		fail_msg("%s", probed.probe.error);
	assert_true(probed.probe.version.size == files[index].size);
	assert_true(probed.probe.version.mtime_s == MTIME_S);
	if (!has_ranges) {
		/* Of an empty object there is no range to miss. */
		assert_int_equal(client_probe(client, &probed, url, false),
			files[index].size > 0 ? -ENOTSUP : 0);
	} else if (files[index].size > 0) {
		struct remote *remote = client_pin(client, url);

		assert_int_equal(
			client_get(client, remote, (struct range){0, files[index].size}, local), 0);
		client_unpin(client, remote);
	}
}

static void check_page(enum foreign which, const char *path, enum detail detail, bool has_ranges)
{
	static struct listed listed;
	struct local locals[FILES];
	struct server server;
	struct client client;

	if (!server_start_foreign(&server, which))
		skip();
	make_files(&server, locals);
	client_open(&client, NULL);
	list(&client, &listed, server_url(&server, path));
	assert_int_equal(listed.count, FILES + 1);
	assert_true(find(&listed, "sub")->is_dir);
	for (size_t i = 0; i < FILES; i++)
		check_file(&client, &listed, i, &locals[i], detail, has_ranges);
	/* The second time it is known whom to ask for what. */
	list(&client, &listed, server_url(&server, path));
	assert_int_equal(listed.count, FILES + 1);
	client_close(&client);
	for (size_t i = 0; i < FILES; i++)
		local_finish(&locals[i]);
	server_stop(&server);
}

#define PAGE(name, which, path, detail, has_ranges)          \
	static void name(void **state)                       \
	{                                                    \
		(void)state;                                 \
		check_page(which, path, detail, has_ranges); \
	}

PAGE(nginx_html, NGINX, "", MINUTES, true)
PAGE(nginx_json, NGINX, "json/", EXACT, true)
PAGE(apache2_plain, APACHE2, "", NAMES_ONLY, true)
PAGE(apache2_fancy, APACHE2, "fancy/", NAMES_ONLY, true)
PAGE(apache2_table, APACHE2, "table/", NAMES_ONLY, true)
PAGE(apache2_dav, APACHE2, "dav/", EXACT, true)
PAGE(lighttpd_html, LIGHTTPD, "", NAMES_ONLY, true)
PAGE(lighttpd_dav, LIGHTTPD, "dav/", EXACT, true)
PAGE(caddy_json, CADDY, "", EXACT, true)
PAGE(python_html, PYTHON, "", NAMES_ONLY, false)

/* "293K" is no size. */
static void nginx_rounded(void **state)
{
	static struct listed listed;
	struct local local;
	struct server server;
	struct client client;

	(void)state;
	if (!server_start_nginx(&server))
		skip();
	local_make(&local, &server, "large", 300000, 1);
	client_open(&client, NULL);
	list(&client, &listed, server_url(&server, "rounded/"));
	assert_true(find(&listed, "large")->size == INDEX_SIZE_UNKNOWN);
	client_close(&client);
	local_finish(&local);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nginx_html),
		cmocka_unit_test(nginx_json),
		cmocka_unit_test(nginx_rounded),
		cmocka_unit_test(apache2_plain),
		cmocka_unit_test(apache2_fancy),
		cmocka_unit_test(apache2_table),
		cmocka_unit_test(apache2_dav),
		cmocka_unit_test(lighttpd_html),
		cmocka_unit_test(lighttpd_dav),
		cmocka_unit_test(caddy_json),
		cmocka_unit_test(python_html),
	};

	return run_group(tests);
}
