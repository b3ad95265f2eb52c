/*
 * list_test.c - a directory through HTTP: HTML and JSON pages of nginx and of ours. What the reader
 * of pages makes of strange ones is tests/unit/index_test.c's.
 */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>

#include "index.h"

struct listed {
	struct listing listing;
	bool done;
	int err;
	unsigned files, directories;
	uint64_t bytes;
	int refuse; /* what entry() says */
};

static int entry(struct listing *listing, const struct index_entry *found)
{
	struct listed *self = container_of(listing, struct listed, listing);

	assert_false(self->done);
	if (self->refuse)
		return self->refuse;
	if (found->is_dir) {
		assert_string_equal(found->name, "sub");
		self->directories++;
		return 0;
	}
	self->files++;
	if (found->size != INDEX_SIZE_UNKNOWN)
		self->bytes += found->size;
	return 0;
}

static void ended(struct listing *listing, int err)
{
	struct listed *self = container_of(listing, struct listed, listing);

	self->done = true;
	self->err = err;
}

static int list(struct client *client, struct listed *listed, const char *url)
{
	int refuse = listed->refuse;

	*listed = (struct listed){
		.listing = {.url = url, .entry = entry, .done = ended}, .refuse = refuse};
	assert_int_equal(client->source->ops->list(client->source, &listed->listing), 0);
	client_wait(client, &listed->done);
	if (listed->err < 0)
		assert_string_not_equal(listed->listing.error, "");
	return listed->err;
}

static void make_files(struct server *server, struct local *locals, size_t count)
{
	char path[128];

	for (size_t i = 0; i < count; i++) {
		char name[16];

		snprintf(name, sizeof name, "file%zu", i);
		local_make(&locals[i], server, name, 100 + i, i + 1);
	}
	snprintf(path, sizeof path, "%s/sub", server->root);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void pages_of_html_and_json_are_read(void **state)
{
	static const char *const paths[2][2] = {{"", ""}, {"", "json/"}};

	(void)state;
	for (int nginx = 0; nginx < 2; nginx++) {
		struct local locals[5];
		struct listed listed = {0};
		struct server server;
		struct client client;

		if (!nginx)
			server_start(&server);
		else if (!server_start_nginx(&server))
			return;
		make_files(&server, locals, array_len(locals));
		client_open(&client, NULL);
		for (size_t i = 0; i < 2; i++) {
			if (list(&client, &listed, server_url(&server, paths[nginx][i])) < 0)
				fail_msg("%s", listed.listing.error);
			assert_int_equal(listed.files, 5);
			assert_int_equal(listed.directories, 1);
			assert_true(listed.bytes == 510);
		}
		for (size_t i = 0; i < array_len(locals); i++)
			local_finish(&locals[i]);
		client_close(&client);
		server_stop(&server);
	}
}

static void what_is_no_index_page_has_its_errno(void **state)
{
	static const struct {
		const char *path, *rule;
		int err;
	} cases[] = {
		{"missing/", "", -ENOENT},
		{"", ": status=403", -EACCES},
		{"", ": status=500", -EIO},
		{"", ": truncate=50", -EIO},
		{"", ": delay=1h", -ETIMEDOUT},
		{"", ": gzip-label", -EPROTO},
	};
	struct listed listed = {0};
	struct local locals[2];
	struct server server;
	struct client client;

	(void)state;
	server_start(&server);
	make_files(&server, locals, array_len(locals));
	client_open(&client, NULL);
	for (size_t i = 0; i < array_len(cases); i++) {
		int err;

		server_script(&server, cases[i].rule);
		err = list(&client, &listed, server_url(&server, cases[i].path));
		if (err != cases[i].err)
			fail_msg("%s%s: %d: %s", cases[i].path, cases[i].rule, err,
				listed.listing.error);
	}
	for (size_t i = 0; i < array_len(locals); i++)
		local_finish(&locals[i]);
	client_close(&client);
	server_stop(&server);
}

static void the_caller_may_refuse_an_entry(void **state)
{
	struct listed listed = {.refuse = -ENOSPC};
	struct local locals[2];
	struct server server;
	struct client client;

	(void)state;
	server_start(&server);
	make_files(&server, locals, array_len(locals));
	client_open(&client, NULL);
	assert_int_equal(list(&client, &listed, server_url(&server, "")), -ENOSPC);
	for (size_t i = 0; i < array_len(locals); i++)
		local_finish(&locals[i]);
	client_close(&client);
	server_stop(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_html_and_json_are_read),
		cmocka_unit_test(what_is_no_index_page_has_its_errno),
		cmocka_unit_test(the_caller_may_refuse_an_entry),
	};

	return run_group(tests);
}
