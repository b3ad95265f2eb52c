/*
 * sandbox_calls.c - which system calls are no more, by seccomp.
 *
 * What is denied is a table, and so is everything that is newer than the table: a call whose number
 * was given after NEWEST_JUDGED answers ENOSYS, as on the kernel before it, and libraries know how
 * to go on. So nothing is allowed that nobody has looked at. The rest is what libc, resolvers, name
 * services, libcurl and OpenSSL of whatever version may use.
 *
 * Rejected: a list of what is allowed, which is broken by the next libc or name service in
 * somebody's /etc/nsswitch.conf, for the same border; killing instead of EPERM, since a library
 * that only asks would take the mount along.
 *
 * Cost: a table lookup for calls whose arguments matter (socket, ioctl, clone, tgkill), nothing for
 * the others (see sandbox.c).
 */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "needs.h"
#include "sandbox.h"
#include "sanitizer.h"

#define NEWEST_JUDGED 462  /* mseal(2), Linux 6.10: numbers are the same everywhere since 424 */
#define NUMBERS_TO_COME 64 /* ten years of Linux */

enum when { ALWAYS, WITHOUT_PROGRAMS, WITHOUT_WRITING, UNLESS_SANITIZED };

/* Names that this libseccomp, or this architecture, does not know are passed over. */
static const struct {
	enum when when;
	const char *names;
} denied[] = {
	/* Other processes' memory. The leak sanitizer stops its own threads so. */
	{UNLESS_SANITIZED, "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd "
			   "process_madvise process_mrelease"},
	/* Mounts and roots: the keeper's. */
	{ALWAYS, "mount umount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig "
		 "fsmount fspick mount_setattr swapon swapoff quotactl quotactl_fd"},
	/* Namespaces; clone() is below. */
	{ALWAYS, "unshare setns"},
	/* The machine. */
	{ALWAYS, "kexec_load kexec_file_load init_module finit_module delete_module create_module "
		 "bpf perf_event_open reboot syslog acct iopl ioperm uselib nfsservctl "
		 "lookup_dcookie vhangup settimeofday clock_settime clock_adjtime adjtimex "
		 "clock_adjtime64 clock_settime64 stime sethostname setdomainname modify_ldt vm86 "
		 "vm86old fanotify_init open_by_handle_at mknod mknodat lsm_set_self_attr"},
	/* Ways around this filter, and around what the kernel is used for rarely. */
	{ALWAYS, "io_uring_setup io_uring_enter io_uring_register userfaultfd personality "
		 "remap_file_pages memfd_secret migrate_pages move_pages vmsplice"},
	/* Who we are. */
	{ALWAYS, "setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups "
		 "setuid32 setgid32 setreuid32 setregid32 setresuid32 setresgid32 setfsuid32 "
		 "setfsgid32 setgroups32 capset"},
	/* What programs may want: to be run, secrets that the kernel keeps, files, callers. */
	{WITHOUT_PROGRAMS, "execve execveat fork vfork"},
	{WITHOUT_PROGRAMS, "add_key request_key keyctl"},
	{WITHOUT_PROGRAMS, "listen accept accept4"},
	{WITHOUT_PROGRAMS, "kill tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal"},
	{WITHOUT_WRITING, "unlink unlinkat rename renameat renameat2"},
	{WITHOUT_PROGRAMS,
		"creat link linkat symlink symlinkat "
		"mkdir mkdirat rmdir truncate truncate64 chmod fchmod fchmodat fchmodat2 chown "
		"chown32 fchown fchown32 lchown lchown32 fchownat utime utimes utimensat "
		"utimensat_time64 futimesat setxattr lsetxattr fsetxattr removexattr lremovexattr "
		"fremovexattr"},
};

/* Address families that are left: others are the kernel's least tested code. */
static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

static const unsigned long namespaces[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
	CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET};

static const unsigned long terminals[] = {TIOCSTI, TIOCLINUX};

static bool is_wanted(enum when when, const struct needs *needs)
{
	if (when == WITHOUT_PROGRAMS)
		return !needs->programs;
	if (when == WITHOUT_WRITING)
		return !needs->programs && !needs->writes;
	return when != UNLESS_SANITIZED || !WITH_SANITIZER;
}

static int deny_number(scmp_filter_ctx filter, int err, int number)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)err), number, 0);
}

/* Negative: not of this architecture. */
static int deny_names(scmp_filter_ctx filter, const char *names)
{
	char name[32];
	int err = 0;

	while (*names && err == 0) {
		size_t length = strcspn(names, " ");
		int number;

		if (length >= sizeof name)
			return -EINVAL;
		memcpy(name, names, length);
		name[length] = '\0';
		number = seccomp_syscall_resolve_name(name);
		if (number >= 0)
			err = deny_number(filter, EPERM, number);
		names += length + (names[length] == ' ');
	}
	return err;
}

static int deny_where(scmp_filter_ctx filter, int err, int number, struct scmp_arg_cmp argument)
{
	return seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((unsigned)err), number, 1, &argument);
}

static bool is_family(int family)
{
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (families[i] == family)
			return true;
	return false;
}

static int deny_families(scmp_filter_ctx filter)
{
	const int call = SCMP_SYS(socket), most = AF_NETLINK;
	int err = deny_where(filter, EAFNOSUPPORT, call, SCMP_A0_32(SCMP_CMP_GT, (unsigned)most));

	for (int family = 0; family < most && err == 0; family++)
		if (!is_family(family))
			err = deny_where(filter, EAFNOSUPPORT, call,
				SCMP_A0_32(SCMP_CMP_EQ, (unsigned)family));
	return err;
}

/* Libraries make threads with clone() where there is no clone3(), whose flags can't be seen. */
static int deny_namespaces(scmp_filter_ctx filter)
{
	int err = deny_number(filter, ENOSYS, SCMP_SYS(clone3));

	for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces && err == 0; i++)
		err = deny_where(filter, EPERM, SCMP_SYS(clone),
			SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	return err;
}

/* Keys for the terminal that a mount was started from. */
static int deny_terminals(scmp_filter_ctx filter)
{
	int err = 0;

	for (size_t i = 0; i < sizeof terminals / sizeof *terminals && err == 0; i++)
		err = deny_where(filter, EPERM, SCMP_SYS(ioctl),
			SCMP_A1_32(SCMP_CMP_EQ, (unsigned)terminals[i]));
	return err;
}

static int deny_newer(scmp_filter_ctx filter)
{
	int err = 0;

	for (int i = 1; i <= NUMBERS_TO_COME && err == 0; i++)
		err = deny_number(filter, ENOSYS, NEWEST_JUDGED + i);
	return err;
}

static int filter_fill(scmp_filter_ctx filter, const struct needs *needs)
{
	int err = 0;

	for (size_t i = 0; i < sizeof denied / sizeof *denied && err == 0; i++)
		if (is_wanted(denied[i].when, needs))
			err = deny_names(filter, denied[i].names);
	if (err == 0)
		err = deny_families(filter);
	if (err == 0)
		err = deny_namespaces(filter);
	if (err == 0)
		err = deny_terminals(filter);
	if (err == 0)
		err = deny_newer(filter);
	/* Signals to others; to oneself is what abort(3) and raise(3) are. */
	if (err == 0 && !needs->programs)
		err = deny_where(filter, EPERM, SCMP_SYS(tgkill),
			SCMP_A0_32(SCMP_CMP_NE, (unsigned)getpid()));
	return err;
}

static void filter_release(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

int sandbox_calls(const struct needs *needs)
{
	scmp_filter_ctx filter cleanup(filter_release) = seccomp_init(SCMP_ACT_ALLOW);
	int err;

	if (!filter)
		return -ENOMEM;
	/* Another architecture's calls (32 bit, x32) are none; one tree instead of one long chain;
	 * the kernel's own errno. */
	err = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (err == 0)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (err == 0)
		err = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	/* Refused by kernels that had no threads in mind: ours come later. */
	if (err == 0)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (err == 0)
		err = filter_fill(filter, needs);
	return err < 0 ? err : seccomp_load(filter);
}
