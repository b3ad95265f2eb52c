/*
 * nobody_test.c - maps of a user who may do nothing: faults of user code are served, those of
 * system calls are not, and pagein_caps() says so. As root only, who becomes nobody in a child.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (64 * PAGE)
#define NOBODY 65534

/* Nothing here fails by time. */
static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};

static bool is_unprivileged_allowed(void)
{
	FILE *file = fopen("/proc/sys/vm/unprivileged_userfaultfd", "re");
	int value = 0;

	if (!file)
		return false;
	if (fscanf(file, "%d", &value) != 1)
		value = 0;
	fclose(file);
	return value != 0;
}

static bool become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	       setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static int run_as_nobody(int (*function)(struct session *session), struct session *session)
{
	/* An errno or a step that went wrong. */
	if (!become_nobody())
		return 100;
	if (pagein_open(server_url(&session->server, "data"), &patient, &session->object) < 0)
		return 101;
	if (pagein_map(session->object, 0, 0, 0, &session->map) < 0)
		return 102;
	session->bytes = pagein_address(session->map);
	return function(session);
}

static int touch_all(struct session *session)
{
	return session_compare(session, 0, 64);
}

static int touch_in_child(void *context)
{
	return run_as_nobody(touch_all, context);
}

static void nobody_maps_and_touches(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	assert_int_equal(run_in_child(touch_in_child, &session), 0);
	session_close(&session);
}

static int write_out(struct session *session)
{
	int sink = memfd_create("sink", MFD_CLOEXEC);

	if (pwrite(sink, session->bytes + 20 * PAGE, PAGE, 0) != -1 || errno != EFAULT)
		return 2;
	if (pagein_populate(session->map, 20 * PAGE, PAGE, 5000) != 0)
		return 3;
	return pwrite(sink, session->bytes + 20 * PAGE, PAGE, 0) == PAGE ? 0 : 4;
}

static int write_in_child(void *context)
{
	return run_as_nobody(write_out, context);
}

static void nobodys_system_calls_need_resident_pages(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	assert_int_equal(run_in_child(write_in_child, &session), 0);
	session_close(&session);
}

static int fork_as_nobody(struct session *session)
{
	if (touch(session->bytes, NULL) != 0)
		return 2;
	return run_in_child((int (*)(void *))touch_all, session);
}

static int fork_in_child(void *context)
{
	return run_as_nobody(fork_as_nobody, context);
}

static void nobodys_children_have_maps_too(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	assert_int_equal(run_in_child(fork_in_child, &session), 0);
	session_close(&session);
}

static int ask_caps(void *context)
{
	struct pagein_caps caps;

	(void)context;
	if (!become_nobody() || pagein_caps(&caps) != 0)
		return 2;
	if (!(caps.caps & PAGEIN_CAP_MAP) || caps.caps & (PAGEIN_CAP_SYSCALLS | PAGEIN_CAP_SERVE))
		return 3;
	return strstr(caps.message, "EFAULT") ? 0 : 4;
}

static void caps_tell_what_nobody_lacks(void **state)
{
	struct pagein_caps caps;

	(void)state;
	assert_int_equal(pagein_caps(&caps), 0);
	assert_true(caps.caps & PAGEIN_CAP_SYSCALLS && caps.caps & PAGEIN_CAP_SERVE);
	assert_string_equal(caps.message, "");
	assert_int_equal(run_in_child(ask_caps, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_maps_and_touches),
		cmocka_unit_test(nobodys_system_calls_need_resident_pages),
		cmocka_unit_test(nobodys_children_have_maps_too),
		cmocka_unit_test(caps_tell_what_nobody_lacks),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: only root can become nobody\n");
		return 77;
	}
	if (is_unprivileged_allowed()) {
		fprintf(stderr, "skipped: vm.unprivileged_userfaultfd=1 lets everybody do all\n");
		return 77;
	}
	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
