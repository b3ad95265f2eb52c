/*
 * sandbox.c - see sandbox.h: the order in which things are given up, and what is said of it.
 *
 *	capabilities --> no new privileges --> memory --> files (Landlock) --> system calls
 *(seccomp)
 *
 * Each step is of use without the others. Nothing here needs a privilege, so that the same is given
 * up by root, in containers, and by everybody else. Cost: 2 ms once. A system call whose number
 * decides is let through by a bitmap of the kernel's (5.11), so that reading and filling cost
 * nothing more.
 *
 * A source that runs a program for its credentials (needs->programs) keeps all files and execve(2):
 * what such a program reads and writes nobody knows. It may not gain privileges either, so that a
 * setuid one fails.
 *
 * Root keeps CAP_DAC_READ_SEARCH, if it has it: what it reads for us (a source's files, somebody's
 * ~/.aws, certificates) it could always read. Where there is Landlock, that says which files these
 * are.
 *
 * Rejected: another uid for root (files of the source and of ~/.aws are readable as they are);
 * namespaces (they need privileges, or a kernel that gives them to everybody); PR_SET_DUMPABLE (see
 * service.c).
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "needs.h"

/* Linux 6.3 and 6.6; Debian 12's headers have none of it. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1UL
#endif
#ifndef PR_MDWE_NO_INHERIT
#define PR_MDWE_NO_INHERIT 2UL
#endif

#define KEPT_CAPABILITY CAP_DAC_READ_SEARCH

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	uint32_t kept = 1U << KEPT_CAPABILITY;

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].permitted &= kept;
	data[0].effective &= kept;
	data[0].inheritable = 0;
	data[1] = (struct __user_cap_data_struct){0};
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* No page that was written to becomes code. Of this process only: programs may be interpreters. */
static void freeze_code(void)
{
	if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN | PR_MDWE_NO_INHERIT, 0UL, 0UL, 0UL) < 0)
		log_info("sandbox: no PR_SET_MDWE here: %s", strerror(errno));
}

static void tell(const char *what, int err)
{
	if (err < 0)
		log_info("sandbox: no %s here: %s", what, strerror(-err));
}

void sandbox_enter(const struct needs *needs)
{
	int abi = 0, err = drop_capabilities();

	tell("dropping of capabilities", err);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) < 0)
		tell("no_new_privs", -errno);
	freeze_code();
	if (needs->programs)
		log_info("sandbox: a program brings the credentials: files are not restricted");
	else
		abi = sandbox_files(needs);
	tell("Landlock", abi);
	err = sandbox_calls(needs);
	tell("seccomp", err);
	log_info("sandbox: Landlock ABI %d, seccomp %s", abi > 0 ? abi : 0, err < 0 ? "off" : "on");
}
