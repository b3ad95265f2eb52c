/*
 * soak_test.c - 16 processes do everything that can be done to a server that has every fault there
 * is, under limits that are far too small, for as long as PAGEIN_TEST_SECONDS says: no byte is
 * wrong, no error is one that the weather does not explain, nothing hangs, nothing grows, nothing
 * is left. PAGEIN_TEST_SEED repeats a run as far as processes can be repeated.
 *
 * soak.h tells what is where. This file is the driver: it starts the server, two mounts and the
 * workers; makes the weather; takes an operation that lasts STUCK_S for one that hangs, and prints
 * where its process waits; watches the memory of the mounts; and ends all that it has started,
 * whatever comes. The last part of the time is fair: in it, no error is explained any more.
 */
#include "soak.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "mounts.h"
#include "pagein.h"
#include "process.h"

#include "watch.h"

#define SECONDS 60 /* of a run, unless the environment says otherwise */
#define END_S 240  /* for everything to end: as long as an operation may take */

static const struct {
	const char *name;
	void (*run)(struct worker *worker);
	unsigned count;
} kinds[] = {
	{"walk", walk, 4},
	{"read", read_mount, 3},
	{"list", list_mount, 2},
	{"fio", run_fio, 2},
	{"remount", remount, 2},
	{"cat", run_cat, 1},
	{"ls", run_ls, 1},
	{"change", change, 1},
};

/* The mounts that everybody uses: as small as can be, and a little larger. */
static const char *const mount_options[MOUNTS] = {
	"timeout=" TIMEOUT
	",deadline=60s,memory=1M,connections=2,loops=1,metadata-ttl=0ms,negative-ttl=0ms",
	"timeout=" TIMEOUT ",deadline=60s,memory=4M,connections=4,loops=3,metadata-ttl=300ms,"
	"negative-ttl=300ms",
};

static struct server server;
static pid_t mount_pids[MOUNTS];

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/*
 * AddressSanitizer keeps what was freed, 256 MiB of it unless it is told otherwise: nothing would
 * look flat in two minutes. The programs are told by the environment.
 */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
#define QUARANTINE "quarantine_size_mb=2:thread_local_quarantine_size_kb=64"
const char *__asan_default_options(void)
{
	return QUARANTINE;
}

/*
 * Others on this machine may copy all mounts into a namespace of theirs, where they would live on.
 * Who may not have one of his own has to hope.
 */
static void leave_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		printf("without a mount namespace: %s\n", strerror(errno));
}

static void shorten_quarantine(void)
{
	const char *options = getenv("ASAN_OPTIONS");
	char all[1000];

	snprintf(all, sizeof all, "%s%s" QUARANTINE, options ? options : "", options ? ":" : "");
	setenv("ASAN_OPTIONS", all, 1);
}

/* ---- the beginning -------------------------------------------------------------------------- */

static void make_soak(void)
{
	soak = mmap(NULL, sizeof *soak, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(soak, MAP_FAILED);
	soak->seed = from_environment("PAGEIN_TEST_SEED", clock_now_ns() % 1000000000);
	soak->seconds = from_environment("PAGEIN_TEST_SECONDS", SECONDS);
	printf("PAGEIN_TEST_SEED=%ju PAGEIN_TEST_SECONDS=%ju\n", (uintmax_t)soak->seed,
		(uintmax_t)soak->seconds);
	fflush(stdout);
	snprintf(soak->base, sizeof soak->base, "/tmp/pagein-soak-XXXXXX");
	assert_non_null(mkdtemp(soak->base));
	server_start(&server);
	snprintf(soak->root, sizeof soak->root, "%s", server.root);
	snprintf(soak->url, sizeof soak->url, "http://127.0.0.1:%u", server.port);
	world_make(&server);
}

static bool is_mounted(const char *directory)
{
	struct mount_point point;

	return mount_point_find(directory, &point) == 0 && point.type[0] != '\0';
}

static void start_mount(size_t number)
{
	const char *program = getenv("PAGEIN");
	const char *const argv[] = {program ? program : "pagein", "mount", "-f", soak->url,
		soak->mounts[number], "-o", mount_options[number], NULL};
	char log[PATH_ROOM];

	snprintf(soak->mounts[number], PATH_ROOM, "%s/mount-%zu", soak->base, number);
	snprintf(log, sizeof log, "%s/mount-%zu.log", soak->base, number);
	assert_int_equal(mkdir(soak->mounts[number], 0755), 0);
	mount_pids[number] = child_start(argv, log);
	assert_true(mount_pids[number] > 0);
	while (!is_mounted(soak->mounts[number])) {
		if (waitpid(mount_pids[number], NULL, WNOHANG) != 0)
			fail_msg("no mount: see %s", log);
		pause_ms(2);
	}
}

static void start_worker(struct worker *worker, size_t number, size_t kind)
{
	pid_t parent = getpid(), pid;

	worker->number = number;
	worker->name = kinds[kind].name;
	worker->seed = (soak->seed + number + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	worker->doing = "start";
	worker->doing_since_ns = clock_now_ns();
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	/* The child shares the worker, and would say that it is nobody. */
	if (pid > 0) {
		worker->pid = pid;
		return;
	}
	/* So that what it starts ends with it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		kinds[kind].run(worker);
	begin(worker, "end");
	/* With a sanitizer's look for leaks. */
	exit(0);
}

static void start_workers(void)
{
	size_t number = 0;

	for (size_t kind = 0; kind < array_len(kinds); kind++)
		for (unsigned i = 0; i < kinds[kind].count; i++)
			start_worker(&soak->workers[number], number, kind), number++;
	assert_int_equal(number, WORKERS);
}

/* ---- meanwhile ------------------------------------------------------------------------------ */

/* Workers end by themselves when the time is up, and not before. */
static size_t reap_workers(void)
{
	size_t left = 0;

	for (size_t i = 0; i < WORKERS; i++) {
		struct worker *worker = &soak->workers[i];
		int status = 0;

		if (worker->pid > 0 && waitpid(worker->pid, &status, WNOHANG) == worker->pid) {
			worker->pid = 0;
			if (status != 0 || !is_over())
				problem(worker, "ended with status %#x in \"%s\"", status,
					worker->doing);
		}
		left += worker->pid > 0;
	}
	return left;
}

static void check_mounts_live(void)
{
	for (size_t i = 0; i < MOUNTS; i++) {
		const struct worker driver = {.name = "driver"};
		int status;

		if (mount_pids[i] > 0 && waitpid(mount_pids[i], &status, WNOHANG) != 0) {
			problem(&driver, "the mount %s has ended with status %#x", soak->mounts[i],
				status);
			mount_pids[i] = 0;
		}
	}
}

static void run_weather(struct watch *watch)
{
	while (!is_over()) {
		weather_tick();
		reap_workers();
		check_mounts_live();
		watch_workers();
		watch_sample(watch);
		pause_ms(100);
	}
	weather_end();
}

/* ---- the end -------------------------------------------------------------------------------- */

static void wait_for_workers(void)
{
	while (reap_workers() > 0 && watch_workers())
		pause_ms(20);
	for (size_t i = 0; i < WORKERS; i++) {
		pid_t pid = soak->workers[i].pid;

		if (pid <= 0)
			continue;
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static void end_mount(size_t number)
{
	const struct worker driver = {.name = "driver"};
	uint64_t end_ns = clock_now_ns() + END_S * NS_PER_S;
	int status = 0;

	if (mount_pids[number] <= 0)
		return;
	if (waitpid(mount_pids[number], &status, WNOHANG) != 0) {
		problem(&driver, "the mount %zu has ended before it was told to: status %#x",
			number, status);
		return;
	}
	kill(mount_pids[number], SIGTERM);
	while (waitpid(mount_pids[number], &status, WNOHANG) == 0) {
		if (clock_now_ns() > end_ns) {
			watch_print_process(mount_pids[number]);
			problem(&driver, "the mount %zu does not end", number);
			kill(mount_pids[number], SIGKILL);
			waitpid(mount_pids[number], &status, 0);
			break;
		}
		pause_ms(10);
	}
	/* It asserts that its gauges are zero. */
	if (status != 0)
		problem(&driver, "the mount %zu has ended with status %#x", number, status);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

static void end_all(void)
{
	const struct worker driver = {.name = "driver"};

	for (size_t i = 0; i < MOUNTS; i++)
		end_mount(i);
	if (watch_unmount_below(soak->base) > 0)
		problem(&driver, "mounts were left");
	if (!watch_processes_end(soak->base))
		problem(&driver, "processes were left");
	world_finish();
	server_stop(&server);
	if (!soak->problems)
		nftw(soak->base, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static void nothing_breaks_in_any_weather(void **state)
{
	struct watch watch = {.mount_pids = mount_pids};
	int fds = count_fds();

	(void)state;
	leave_namespace();
	shorten_quarantine();
	make_soak();
	for (size_t i = 0; i < MOUNTS; i++)
		start_mount(i);
	soak->end_ns = clock_now_ns() + soak->seconds * NS_PER_S;
	weather_start(&server, soak->seed * 2 + 1, soak->end_ns);
	start_workers();
	run_weather(&watch);
	wait_for_workers();
	watch_judge(&watch);
	end_all();
	watch_report(&watch);
	assert_int_equal(count_fds(), fds);
	if (soak->problems)
		fail_msg("%s", soak->problem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_breaks_in_any_weather),
	};
	struct pagein_caps caps;

	if (access("/dev/fuse", R_OK | W_OK) < 0 || pagein_caps(&caps) < 0) {
		fprintf(stderr, "skipped: %s\n",
			access("/dev/fuse", R_OK | W_OK) < 0
				? "/dev/fuse is missing or not writable"
				: caps.message);
		return 77;
	}
	return run_group(tests);
}
