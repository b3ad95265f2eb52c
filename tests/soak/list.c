/*
 * list.c - workers that list directories, of which one has many names and one changes meanwhile;
 * and the worker that changes it.
 *
 * A listing that succeeds is complete: every name that is always there, no other that never is,
 * none twice. One that fails says so, and the weather explains it.
 */
#include "soak.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

static size_t directory_max(const char *directory)
{
	return strcmp(directory, "big") == 0 ? BIG_NAMES : FLUX_NAMES;
}

void listing_add(
	struct worker *worker, struct listing *listing, const char *directory, const char *name)
{
	int number = name_number(name);

	if (number < 0 || (size_t)number >= directory_max(directory))
		problem(worker, "%s: a name that nobody made: %s", directory, name);
	else if (listing->seen[number])
		problem(worker, "%s: twice: %s", directory, name);
	else
		listing->seen[number] = true;
	listing->count++;
}

void listing_check(struct worker *worker, const struct listing *listing, const char *directory)
{
	size_t max = directory_max(directory), step = max == FLUX_NAMES ? 2 : 1;

	for (size_t i = 0; i < max; i += step)
		if (!listing->seen[i]) {
			problem(worker, "%s: n-%04zu is missing from %zu names", directory, i,
				listing->count);
			return;
		}
}

static void look_at(struct worker *worker, int directory_fd, const char *name, uint64_t since_ns)
{
	struct stat status;

	begin(worker, "stat");
	if (fstatat(directory_fd, name, &status, 0) == 0) {
		/* An empty one is being written. */
		if (status.st_size != 6 && status.st_size != 0)
			problem(worker, "%s has %jd bytes", name, (intmax_t)status.st_size);
	} else if (errno != ENOENT || name_number(name) % 2 == 0) {
		record_error(worker, "stat", errno, since_ns);
	}
}

static void list(struct worker *worker, const char *mount, const char *directory)
{
	static struct listing listing;
	uint64_t since_ns = clock_now_ns();
	char path[2 * PATH_ROOM];
	struct dirent *entry;
	DIR *stream;

	begin(worker, "list");
	listing = (struct listing){0};
	snprintf(path, sizeof path, "%s/%s", mount, directory);
	stream = opendir(path);
	if (!stream) {
		record_error(worker, "opendir", errno, since_ns);
		return;
	}
	while ((errno = 0, entry = readdir(stream)) && !is_over()) {
		if (entry->d_name[0] == '.')
			continue;
		listing_add(worker, &listing, directory, entry->d_name);
		if (pick(worker, 100) == 0)
			look_at(worker, dirfd(stream), entry->d_name, since_ns);
	}
	if (errno)
		record_error(worker, "readdir", errno, since_ns);
	else if (!is_over())
		listing_check(worker, &listing, directory);
	closedir(stream);
}

/* Closed before it is whole. */
static void list_a_little(struct worker *worker, const char *mount)
{
	uint64_t since_ns = clock_now_ns();
	char path[2 * PATH_ROOM];
	DIR *stream;

	begin(worker, "list a little");
	snprintf(path, sizeof path, "%s/big", mount);
	stream = opendir(path);
	for (int i = 0; stream && i < 5; i++)
		if ((errno = 0, !readdir(stream))) {
			record_error(worker, "readdir", errno, since_ns);
			break;
		}
	if (stream)
		closedir(stream);
	else
		record_error(worker, "opendir", errno, since_ns);
}

/* With find(1), which knows the kernel's tricks. */
static void list_with_find(struct worker *worker, const char *mount, const char *directory)
{
	static struct listing listing;
	uint64_t since_ns = clock_now_ns();
	char path[2 * PATH_ROOM];
	const char *const argv[] = {"find", path, "-mindepth", "1", "-printf", "%f\n", NULL};
	struct child child;
	char *rest;

	begin(worker, "find");
	listing = (struct listing){0};
	snprintf(path, sizeof path, "%s/%s", mount, directory);
	if (!child_run(worker, argv, &child))
		return;
	rest = child.out;
	for (char *name; rest && (name = strsep(&rest, "\n")) && *name;)
		listing_add(worker, &listing, directory, name);
	/* -printf looks at no file: only the directory itself can fail. */
	if (child_succeeded(&child))
		listing_check(worker, &listing, directory);
	else
		record_error(worker, child.err, errno_any, since_ns);
	child_finish(&child);
}

void list_mount(struct worker *worker)
{
	while (!is_over()) {
		const char *mount = soak->mounts[pick(worker, MOUNTS)];
		const char *directory = pick(worker, 2) ? "big" : "flux";

		switch (pick(worker, 6)) {
		case 0:
			list_with_find(worker, mount, directory);
			break;
		case 1:
			list_a_little(worker, mount);
			break;
		default:
			list(worker, mount, directory);
		}
		record_memory(worker);
		/* Longer than what is known of a directory is believed. */
		pause_ms((unsigned)pick(worker, 200));
	}
}

void change(struct worker *worker)
{
	for (uint32_t version = 2; !is_over(); version++) {
		begin(worker, "change");
		world_flux(worker);
		if (version % 4 == 0)
			world_change(worker, version);
		pause_ms(20 + (unsigned)pick(worker, 150));
	}
}
