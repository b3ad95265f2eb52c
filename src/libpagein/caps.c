/*
 * caps.c - what this kernel and this process's rights give to maps. On the caller's thread; nothing
 * is kept: rights may change while a process lives.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "pagein.h"
#include "uffd.h"

static const struct {
	uint64_t feature;
	unsigned cap;
} caps_of_features[] = {
	{UFFD_FEATURE_POISON, PAGEIN_CAP_SIGBUS},
	{UFFD_FEATURE_PAGEFAULT_FLAG_WP, PAGEIN_CAP_PRIVATE},
	{UFFD_FEATURE_MOVE, PAGEIN_CAP_HUGE},
	{UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM, PAGEIN_CAP_SHARED},
	{UFFD_FEATURE_SIGBUS, PAGEIN_CAP_INLINE},
};

/* The lowest rung tells why there is none; the highest that fails, why it is not a better one. */
static void tell_missing(struct pagein_caps *caps, const struct uffd_access *access)
{
	if (access->device_err == 0 || access->syscall_err == 0)
		return;
	caps->error = access->user_mode_err < 0 ? -access->user_mode_err : 0;
	if (caps->error == ENOSYS || caps->error == EPERM)
		strcpy(caps->message,
			"userfaultfd(2) is forbidden, by a seccomp filter or a kernel without it: "
			"allow the system call, or give /dev/userfaultfd to the container");
	else if (caps->error != 0)
		snprintf(caps->message, sizeof caps->message, "userfaultfd(2): %s",
			strerrordesc_np(caps->error));
	else
		strcpy(caps->message,
			"system calls on pages that are not resident give EFAULT: needs access to "
			"/dev/userfaultfd, CAP_SYS_PTRACE, or sysctl vm.unprivileged_userfaultfd=1");
}

int pagein_caps(struct pagein_caps *ret)
{
	struct uffd_access access;

	*ret = (struct pagein_caps){0};
	uffd_probe(&access);
	tell_missing(ret, &access);
	if (ret->error == 0)
		ret->caps |= PAGEIN_CAP_MAP;
	if (access.device_err == 0 || access.syscall_err == 0)
		ret->caps |= PAGEIN_CAP_SYSCALLS;
	for (size_t i = 0; i < sizeof caps_of_features / sizeof *caps_of_features; i++)
		if ((access.features & caps_of_features[i].feature) == caps_of_features[i].feature)
			ret->caps |= caps_of_features[i].cap;
	if (access.may_follow_fork)
		ret->caps |= PAGEIN_CAP_SERVE;
	return ret->error == 0 ? 0 : context_fail(-ret->error, "caps: %s", ret->message);
}
