/*
 * abi_test.c - the shared library as others link it: it exports its calls and nothing else, and a
 * program that knows the public header alone can use it. Its argument is the library's path.
 */
#include "check.h"

#include <errno.h>
#include <pagein.h>
#include <sys/wait.h>

#include "data.h"
#include "server.h"
#include "touch.h"

static const char *library;

static const char *const calls[] = {
	"pagein_address",
	"pagein_advise",
	"pagein_caps",
	"pagein_close",
	"pagein_detach",
	"pagein_dirty",
	"pagein_discard",
	"pagein_error",
	"pagein_guard",
	"pagein_integrity",
	"pagein_last_error",
	"pagein_length",
	"pagein_map",
	"pagein_open",
	"pagein_pin",
	"pagein_populate",
	"pagein_residency",
	"pagein_retry",
	"pagein_size",
	"pagein_stats",
	"pagein_thread_stats",
	"pagein_unmap",
	"pagein_unpin",
	"pagein_version",
};

static void it_exports_its_calls_and_nothing_else(void **state)
{
	char command[512], line[256], name[128];
	size_t found = 0;
	FILE *pipe;

	(void)state;
	snprintf(command, sizeof command, "nm -D --defined-only --format=posix '%s'", library);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	while (fgets(line, sizeof line, pipe)) {
		size_t i = 0;

		assert_int_equal(sscanf(line, "%127[^ @]", name), 1);
		if (strcmp(name, "PAGEIN_0") == 0)
			continue;
		while (i < array_len(calls) && strcmp(calls[i], name) != 0)
			i++;
		if (i == array_len(calls))
			fail_msg("exported, but not in this test's list: %s", name);
		found++;
	}
	if (pclose(pipe) != 0)
		skip_because("no nm(1) here");
	assert_int_equal(found, array_len(calls));
}

static void a_program_with_the_public_header_uses_it(void **state)
{
	struct pagein_object *object;
	struct pagein_map *map;
	struct server server;
	struct local local;
	int err;

	(void)state;
	server_start(&server);
	local_make(&local, &server, "data", 1000001, 1);
	assert_int_equal(pagein_open(server_url(&server, "data"), NULL, &object), 0);
	err = pagein_map(object, 0, 0, 0, &map);
	if (err == -EPERM || err == -EACCES || err == -ENOSYS) {
		pagein_close(object);
		local_finish(&local);
		server_stop(&server);
		skip_because("%s", pagein_last_error());
	}
	assert_int_equal(err, 0);
	assert_int_equal(touch_compare(pagein_address(map), local.bytes, local.size), 0);
	pagein_unmap(map);
	pagein_close(object);
	local_finish(&local);
	server_stop(&server);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_exports_its_calls_and_nothing_else),
		cmocka_unit_test(a_program_with_the_public_header_uses_it),
	};

	if (argc < 2)
		return 2;
	library = argv[1];
	return run_group(tests);
}
