/*
 * doctor_uffd.c - how far up the ladder to userfaultfd(2) this process comes, what bars the next
 * rung, and what the kernel's userfaultfd can do.
 *
 * Three rungs, highest first: /dev/userfaultfd (whoever may open it, Linux 6.1), the system call
 * (CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd=1), and the system call for faults of user code
 * only (everybody, Linux 5.11). Which errno says what:
 *
 *	device   ENOENT no such device: an older kernel, or a container without it
 *	         EACCES its mode; EPERM the container's device rules
 *	syscall  EPERM  vm.unprivileged_userfaultfd is 0 (or a seccomp filter, as below)
 *	user     EPERM  never the kernel's answer: a seccomp filter's
 *	         ENOSYS a seccomp filter's, or a kernel without CONFIG_USERFAULTFD
 *	         EINVAL a kernel before 5.11
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "doctor.h"
#include "uffd.h"

enum need { UNUSED, WANTED, NEEDED };

/* Bits by number: the installed kernel headers may know fewer. */
static const struct {
	unsigned bit;
	enum need need;
	const char *name;
	const char *gives;
} features[] = {
	{2, NEEDED, "EVENT_REMAP", "maps that are moved (mremap) are followed"},
	{3, NEEDED, "EVENT_REMOVE", "dropped pages (MADV_DONTNEED) are fetched again"},
	{6, NEEDED, "EVENT_UNMAP", "no fill into an address that is others' by now"},
	{14, WANTED, "POISON", "failed pages raise SIGBUS; without it SIGSEGV"},
	{8, WANTED, "THREAD_ID", "what each thread has waited for is counted"},
	{0, WANTED, "PAGEFAULT_FLAG_WP",
		"PAGEIN_PRIVATE: writable copies, and which pages are dirty"},
	{15, WANTED, "WP_ASYNC", "... whose first writes cost no message"},
	{16, WANTED, "MOVE", "PAGEIN_HUGE: 2 MiB are moved instead of copied"},
	{5, WANTED, "MISSING_SHMEM", "PAGEIN_SHARED: one fetch for all processes of a user"},
	{10, WANTED, "MINOR_SHMEM", "... without a copy"},
	{4, WANTED, "MISSING_HUGETLBFS", "PAGEIN_HUGETLB: pages of the reserved pool"},
	{7, WANTED, "SIGBUS", "PAGEIN_INLINE: cached pages without a switch of threads"},
	{1, WANTED, "EVENT_FORK", "PAGEIN_FORK_SERVE: the parent fills its children's maps"},
	{9, UNUSED, "MINOR_HUGETLBFS", "minor faults of huge pages"},
	{11, UNUSED, "EXACT_ADDRESS", "messages tell the byte, not only the page"},
	{12, UNUSED, "WP_HUGETLBFS_SHMEM", "write-protection of huge and shared pages"},
	{13, UNUSED, "WP_UNPOPULATED", "write-protection of pages that are not there"},
};

static void say_features(struct doctor *doctor, uint64_t mask)
{
	for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
		bool there = mask >> features[i].bit & 1;
		enum need need = features[i].need;

		if (there)
			doctor_say(VERDICT_OK, features[i].name, "%s%s", features[i].gives,
				need == UNUSED ? " (not used)" : "");
		else if (need != UNUSED)
			doctor_say(need == NEEDED ? VERDICT_FAIL : VERDICT_WARN, features[i].name,
				"missing: %s", features[i].gives);
		if (!there && need == NEEDED)
			doctor->map_works = false;
	}
}

static void fix_device(const struct doctor *doctor, int err)
{
	if (err == -ENOENT && doctor->in_container)
		doctor_fix("give it to the container: docker run --device /dev/userfaultfd");
	else if (err == -ENOENT)
		doctor_fix("/dev/userfaultfd comes with Linux 6.1 (CONFIG_USERFAULTFD)");
	else if (err == -EPERM)
		doctor_fix(
			"the device rules of the container: docker run --device /dev/userfaultfd");
	else
		doctor_fix("as root: chgrp GROUP /dev/userfaultfd && chmod g+rw /dev/userfaultfd; "
			   "by a udev rule it lasts");
}

static void fix_syscall(const struct doctor *doctor, int err)
{
	if (err == -EPERM && !doctor->is_root)
		doctor_fix("as root: sysctl vm.unprivileged_userfaultfd=1 (a file in /etc/sysctl.d "
			   "makes it last), or CAP_SYS_PTRACE");
	else if (err == -EPERM)
		doctor_fix("docker run --cap-add SYS_PTRACE, or on the host sysctl "
			   "vm.unprivileged_userfaultfd=1");
}

static void fix_user_mode(const struct doctor *doctor, int err)
{
	if (err == -EINVAL)
		doctor_fix("boot Linux 5.11 or later");
	else if (err == -ENOSYS && !doctor->has_seccomp)
		doctor_fix("boot a kernel with CONFIG_USERFAULTFD");
	else
		doctor_fix("a seccomp filter forbids userfaultfd(2): allow it in the container's "
			   "profile, or docker run --security-opt seccomp=PROFILE, or give "
			   "/dev/userfaultfd to the container");
}

static void say_rung(const char *what, int err, bool needed, const char *gives)
{
	if (err == 0)
		doctor_say(VERDICT_OK, what, "%s", gives);
	else
		doctor_say(needed ? VERDICT_WARN : VERDICT_OK, what, "%s%s", strerror(-err),
			needed ? "" : ", and not needed");
}

void doctor_check_uffd(struct doctor *doctor)
{
	struct uffd_access access;
	bool full, any;

	uffd_probe(&access);
	full = access.device_err == 0 || access.syscall_err == 0;
	any = full || access.user_mode_err == 0;
	say_rung("/dev/userfaultfd", access.device_err, !full, "opens: all faults are served");
	if (!full)
		fix_device(doctor, access.device_err);
	say_rung("userfaultfd(2)", access.syscall_err, !full, "allowed: all faults are served");
	if (!full && any)
		fix_syscall(doctor, access.syscall_err);
	say_rung("... of user code only", access.user_mode_err, !full,
		full ? "allowed, and not needed" : "allowed: faults of user code are served");
	if (!any)
		fix_user_mode(doctor, access.user_mode_err);
	if (!any)
		doctor_say(VERDICT_FAIL, "userfaultfd", "not allowed: one of these three must be");
	else if (!full)
		doctor_say(VERDICT_WARN, "userfaultfd",
			"read(2), write(2) ... on a page that is "
			"not resident give EFAULT");
	else
		doctor_say(VERDICT_OK, "userfaultfd",
			"user code may touch maps, and so may system calls");
	doctor->map_works &= any;
	if (any)
		say_features(doctor, access.features);
}
