/*
 * program.c - workers that run programs: fio on a mount, which verifies what it once wrote, and
 * `pagein cat` and `pagein ls` on the server.
 */
#include "soak.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- fio ------------------------------------------------------------------------------------ */

/* What fio says: "err=84/file:io_u.c", "got signal=7". */
static void check_fio(struct worker *worker, const struct child *child, uint64_t since_ns)
{
	const char *text[] = {child->out ? child->out : "", child->err};
	bool told = false;

	for (size_t i = 0; i < array_len(text); i++) {
		for (const char *at = text[i]; (at = strstr(at, "err=")); at++) {
			int number = atoi(at + strlen("err="));

			if (number == EILSEQ)
				problem(worker, "fio: wrong bytes: %s", child->err);
			else if (number != 0)
				record_error(worker, child->err, number, since_ns);
			told = told || number != 0;
		}
		if (strstr(text[i], "got signal=7")) {
			record_error(worker, child->err, errno_any, since_ns);
			told = true;
		}
	}
	if (strstr(child->err, "verify"))
		problem(worker, "fio: %s", child->err);
	/* It says in words that the file's directory can't be found. */
	if (!told && !child_succeeded(child))
		record_error(worker, child->err, errno_any, since_ns);
}

void run_fio(struct worker *worker)
{
	static const char *const engines[][2] = {{"--ioengine=psync", "--direct=0"},
		{"--ioengine=mmap", "--direct=0"}, {"--ioengine=psync", "--direct=1"},
		{"--ioengine=libaio", "--direct=1"}};

	while (!is_over()) {
		const char *const *engine = engines[pick(worker, array_len(engines))];
		char filename[2 * PATH_ROOM], aux[2 * PATH_ROOM];
		const char *const argv[] = {"fio", "--name=verify", filename, aux, "--readonly",
			"--size=4M", "--bs=64k", "--rw=randread", "--verify=crc32c",
			"--verify_fatal=1", "--verify_state_save=0", "--randseed=1", engine[0],
			engine[1], "--iodepth=4", NULL};
		uint64_t since_ns = clock_now_ns();
		struct child child;

		snprintf(filename, sizeof filename, "--filename=%s/f/fio-%zu",
			soak->mounts[pick(worker, MOUNTS)], pick(worker, FIO_FILES));
		snprintf(aux, sizeof aux, "--aux-path=%s", soak->base);
		begin(worker, engine[0]);
		if (!child_run(worker, argv, &child))
			return;
		check_fio(worker, &child, since_ns);
		child_finish(&child);
		record_memory(worker);
		pause_ms((unsigned)pick(worker, 100));
	}
}

/* ---- pagein --------------------------------------------------------------------------------- */

static const char *pagein_program(void)
{
	const char *program = getenv("PAGEIN");

	return program ? program : "pagein";
}

/* It failed: with words, and for a reason. */
static void check_failure(struct worker *worker, const struct child *child, uint64_t since_ns)
{
	if (!WIFEXITED(child->status) || WEXITSTATUS(child->status) != 1)
		problem(worker, "status %#x: %s", child->status, child->err);
	else if (strncmp(child->err, "pagein ", 7) != 0)
		problem(worker, "no words: %s", child->err);
	else
		record_error(worker, child->err, errno_any, since_ns);
}

static const char timeout_option[] = "--timeout=" TIMEOUT;

/* Whatever has been written is right, also when the rest could not be had. */
static void cat(struct worker *worker)
{
	const struct file *file = &files[pick(worker, FILES)];
	size_t first = pick(worker, file->size), last = first + pick(worker, file->size - first);
	char url[128], range[64], connections[64];
	const char *const argv[] = {
		pagein_program(), "cat", timeout_option, connections, range, url, NULL};
	uint64_t since_ns = clock_now_ns();
	struct child child;

	snprintf(url, sizeof url, "%s/%s", soak->url, file->name);
	snprintf(range, sizeof range, "--range=%zu-%zu", first, last);
	snprintf(connections, sizeof connections, "--connections=%zu", 1 + pick(worker, 3));
	begin(worker, "cat");
	if (!child_run(worker, argv, &child))
		return;
	atomic_fetch_add(&soak->bytes_compared, child.out_length);
	if (child.out_length > last + 1 - first ||
		memcmp(child.out, file->bytes + first, child.out_length) != 0)
		problem(worker, "cat: wrong bytes of %s in %zu at %zu", file->name,
			child.out_length, first);
	if (!child_succeeded(&child))
		check_failure(worker, &child, since_ns);
	else if (child.out_length != last + 1 - first)
		problem(worker, "cat: %zu bytes, not %zu", child.out_length, last + 1 - first);
	child_finish(&child);
}

void run_cat(struct worker *worker)
{
	while (!is_over()) {
		cat(worker);
		record_memory(worker);
		pause_ms((unsigned)pick(worker, 100));
	}
}

static void ls(struct worker *worker, const char *directory)
{
	static struct listing listing;
	char url[128];
	const char *const argv[] = {pagein_program(), "ls", timeout_option, url, NULL};
	uint64_t since_ns = clock_now_ns();
	struct child child;
	char *rest;

	listing = (struct listing){0};
	snprintf(url, sizeof url, "%s/%s/", soak->url, directory);
	begin(worker, "ls");
	if (!child_run(worker, argv, &child))
		return;
	rest = child.out;
	for (char *name; rest && (name = strsep(&rest, "\n")) && *name;)
		listing_add(worker, &listing, directory, name);
	if (child_succeeded(&child))
		listing_check(worker, &listing, directory);
	else
		check_failure(worker, &child, since_ns);
	child_finish(&child);
}

static void stat_file(struct worker *worker)
{
	const struct file *file = &files[pick(worker, FILES)];
	char url[128], size[32];
	const char *const argv[] = {pagein_program(), "stat", timeout_option, url, NULL};
	uint64_t since_ns = clock_now_ns();
	struct child child;

	snprintf(url, sizeof url, "%s/%s", soak->url, file->name);
	snprintf(size, sizeof size, "%zu", file->size);
	begin(worker, "stat");
	if (!child_run(worker, argv, &child))
		return;
	if (!child_succeeded(&child))
		check_failure(worker, &child, since_ns);
	else if (!strstr(child.out, size))
		problem(worker, "stat: no %s in %s", size, child.out);
	child_finish(&child);
}

void run_ls(struct worker *worker)
{
	while (!is_over()) {
		if (pick(worker, 3) == 0)
			stat_file(worker);
		else
			ls(worker, pick(worker, 2) ? "big" : "flux");
		record_memory(worker);
		pause_ms((unsigned)pick(worker, 100));
	}
}
