/* shared.c - see shared.h. */
#include "shared.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"

static struct {
	const char *name;
	size_t size;
	struct local local;
} files[] = {
	{"data", DATA_BYTES, {0}}, {"other", DATA_BYTES, {0}}, /* of the same length */
	{"longer", DATA_BYTES + 8192, {0}}, {"shorter", DATA_BYTES - 8192, {0}}, {"0", 0, {0}},
	{"1", 1, {0}}, {"4095", 4095, {0}}, {"4096", 4096, {0}}, {"4097", 4097, {0}},
	{"16384", 16384, {0}},                       /* all that a probe asks for */
	{"16385", 16385, {0}}, {"small", 9999, {0}}, /* for servers that are slow */
};

/* Two that were written in the same tick of the kernel's clock would have the same ETag. */
static void set_time(const char *path, time_t seconds)
{
	struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

void shared_make(const struct server *server)
{
	char path[96];

	snprintf(path, sizeof path, "%s/shared", server->root);
	assert_int_equal(mkdir(path, 0755), 0);
	for (size_t i = 0; i < array_len(files); i++) {
		snprintf(path, sizeof path, "shared/%s", files[i].name);
		local_make(&files[i].local, server, path, files[i].size, i + 1);
		set_time(files[i].local.path, 1700000000 + (time_t)i);
	}
}

void shared_finish(void)
{
	for (size_t i = 0; i < array_len(files); i++)
		local_finish(&files[i].local);
}

const struct local *shared_file(const char *name)
{
	for (size_t i = 0; i < array_len(files); i++)
		if (strcmp(files[i].name, name ? name : "data") == 0)
			return &files[i].local;
	fprintf(stderr, "no file %s\n", name);
	abort();
}
