/*
 * host_test.c - the library does nothing to the process that it is in but what it is asked for:
 * what the kernel tells of that process is the same before an object is opened, while it is mapped
 * and touched, in a new thread, and when all of it is gone.
 */
#include "fixture.h"

#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

#define SIZE (64 * PAGE)
#define STATUS_MAX 8192

static const struct pagein_options caching = {
	.size = sizeof caching, .timeout_ms = 20000, .cache_bytes = 1 << 20};

/* Lines of /proc/thread-self/status that a library has no business with. */
static const char *const status_names[] = {"Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn",
	"SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
	"Seccomp_filters", "Cpus_allowed", "Mems_allowed"};

struct action {
	void *handler;
	uint64_t flags;
	uint64_t mask; /* the kernel's: libc's is longer, and has garbage behind it */
};

/* Without gaps, as it is compared as a whole. */
struct host {
	struct rlimit limits[RLIM_NLIMITS];
	struct action actions[NSIG + 1];
	char status[array_len(status_names)][64];
	char filter[16]; /* of cores */
	char name[16];
	char locale[64];
	char directory[256];
	int dumpable, child_subreaper, timer_slack, death_signal, keep_capabilities, secure_bits;
	int personality, nice;
	pid_t session, group;
};

static void read_file(const char *path, char *to, size_t room)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, to, room - 1);

	assert_true(n >= 0);
	to[n] = '\0';
}

static void look_at_status(struct host *host)
{
	char text[STATUS_MAX], *rest = text, *line;

	read_file("/proc/thread-self/status", text, sizeof text);
	while ((line = strsep(&rest, "\n")))
		for (size_t i = 0; i < array_len(status_names); i++) {
			size_t length = strlen(status_names[i]);

			if (strncmp(line, status_names[i], length) == 0 && line[length] == ':')
				snprintf(host->status[i], sizeof host->status[i], "%s", line);
		}
}

static void look_at_action(int signal_number, struct action *ret)
{
	struct sigaction action;

	/* libc keeps two to itself. */
	if (sigaction(signal_number, NULL, &action) < 0)
		return;
	ret->handler = (void *)action.sa_handler;
	ret->flags = (uint64_t)action.sa_flags;
	memcpy(&ret->mask, &action.sa_mask, sizeof ret->mask);
}

static void look(struct host *host)
{
	memset(host, 0, sizeof *host);
	look_at_status(host);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		assert_int_equal(getrlimit((__rlimit_resource_t)i, &host->limits[i]), 0);
	for (int i = 1; i < NSIG; i++)
		look_at_action(i, &host->actions[i]);
	host->dumpable = prctl(PR_GET_DUMPABLE);
	prctl(PR_GET_CHILD_SUBREAPER, &host->child_subreaper);
	prctl(PR_GET_PDEATHSIG, &host->death_signal);
	host->timer_slack = prctl(PR_GET_TIMERSLACK);
	host->keep_capabilities = prctl(PR_GET_KEEPCAPS);
	host->secure_bits = prctl(PR_GET_SECUREBITS);
	prctl(PR_GET_NAME, host->name);
	host->personality = personality(0xffffffff);
	host->nice = getpriority(PRIO_PROCESS, 0);
	read_file("/proc/self/coredump_filter", host->filter, sizeof host->filter);
	snprintf(host->locale, sizeof host->locale, "%s", setlocale(LC_ALL, NULL));
	assert_non_null(getcwd(host->directory, sizeof host->directory));
	host->session = getsid(0);
	host->group = getpgid(0);
}

static void expect_same(const struct host *before, const char *when)
{
	struct host now;

	look(&now);
	for (size_t i = 0; i < array_len(status_names); i++)
		if (strcmp(before->status[i], now.status[i]) != 0)
			fail_msg("%s: '%s' was '%s'", when, now.status[i], before->status[i]);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (memcmp(&before->limits[i], &now.limits[i], sizeof now.limits[i]) != 0)
			fail_msg("%s: resource limit %d", when, i);
	for (int i = 1; i < NSIG; i++)
		if (memcmp(&before->actions[i], &now.actions[i], sizeof now.actions[i]) != 0)
			fail_msg("%s: action of signal %d", when, i);
	/* All that has no test of its own above. */
	if (memcmp(before, &now, sizeof now) != 0)
		fail_msg("%s: dumpable %d, name %s, core filter %s, locale %s, directory %s", when,
			now.dumpable, now.name, now.filter, now.locale, now.directory);
}

static void *expect_same_in_thread(void *context)
{
	/* No assertion here, whose failure would jump out of the thread. */
	struct host *now = context;

	look_at_status(now);
	return NULL;
}

static void use_the_library(const struct host *before, const struct pagein_options *options)
{
	struct host in_thread = {.dumpable = 0};
	struct session session;
	pthread_t thread;

	session_open(&session, SIZE, options);
	expect_same(before, "mapped");
	/* Not session_compare(), which catches SIGBUS. */
	assert_memory_equal(session.bytes, session.local.bytes, SIZE);
	expect_same(before, "touched");
	assert_int_equal(pthread_create(&thread, NULL, expect_same_in_thread, &in_thread), 0);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < array_len(status_names); i++)
		assert_string_equal(in_thread.status[i], before->status[i]);
	session_close(&session);
	expect_same(before, "closed");
}

static void the_library_leaves_its_process_alone(void **state)
{
	struct host before;

	(void)state;
	look(&before);
	use_the_library(&before, NULL);
	use_the_library(&before, &caching);
}

/* The comparison itself sees what it shall see. */
static void a_change_would_be_seen(void **state)
{
	const struct rlimit small = {1 << 20, 1 << 20};
	struct host before, after;
	mode_t mask;

	(void)state;
	look(&before);
	look(&after);
	assert_memory_equal(&before, &after, sizeof after);
	mask = umask(0123);
	look(&after);
	assert_memory_not_equal(&before, &after, sizeof after);
	umask(mask);
	prctl(PR_SET_DUMPABLE, 0);
	look(&after);
	prctl(PR_SET_DUMPABLE, 1);
	assert_memory_not_equal(&before, &after, sizeof after);
	prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
	look(&after);
	assert_memory_not_equal(before.status, after.status, sizeof after.status);
	setrlimit(RLIMIT_CORE, &small);
	look(&after);
	assert_memory_not_equal(before.limits, after.limits, sizeof after.limits);
}

/* libc catches a signal of its own from the first thread on, whoever makes it. */
static void *do_nothing(void *context)
{
	return context;
}

int main(void)
{
	pthread_t thread;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_library_leaves_its_process_alone),
		/* The last one: it can't be undone. */
		cmocka_unit_test(a_change_would_be_seen),
	};

	if (pthread_create(&thread, NULL, do_nothing, NULL) == 0)
		pthread_join(thread, NULL);
	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
