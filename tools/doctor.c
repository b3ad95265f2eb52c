/*
 * doctor.c - `pagein doctor`: what this kernel, user and container allow, and how to mend what they
 * don't. Main thread; asks the kernel, changes nothing, and sends nothing to anybody.
 *
 * Each part of the ground (system here, doctor_uffd.c, doctor_fuse.c, doctor_http.c) reports by
 * itself and takes back what will not work: exit status 0 says that mounts and maps will.
 */
#include "doctor.h"

#include <linux/capability.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cleanup.h"
#include "commands.h"

#define WHAT_COLUMNS 22
#define OPEN_FILES_MIN 256 /* two for each of the connections to a server, and some */

void doctor_say(enum verdict verdict, const char *what, const char *format, ...)
{
	static const char *const words[] = {"ok", "warn", "FAIL"};
	va_list arguments;

	printf("%-4s  %s:%*s", words[verdict], what, WHAT_COLUMNS - (int)strlen(what), "");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

void doctor_fix(const char *format, ...)
{
	va_list arguments;

	printf("      fix: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

/* ---- this process ------------------------------------------------------------------------- */

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

static void doctor_look(struct doctor *doctor)
{
	FILE *status cleanup(close_file) = fopen("/proc/self/status", "re");
	unsigned long long capabilities;
	char line[256];
	int seccomp;

	*doctor = (struct doctor){
		.mount_works = true, .map_works = true, .is_root = geteuid() == 0};
	while (status && fgets(line, sizeof line, status)) {
		if (sscanf(line, "CapEff: %llx", &capabilities) == 1)
			doctor->has_sys_admin = capabilities >> CAP_SYS_ADMIN & 1;
		if (sscanf(line, "Seccomp: %d", &seccomp) == 1)
			doctor->has_seccomp = seccomp != 0;
	}
	doctor->in_container = access("/.dockerenv", F_OK) == 0 ||
			       access("/run/.containerenv", F_OK) == 0 || getenv("container");
}

static void check_process(const struct doctor *doctor)
{
	doctor_say(VERDICT_OK, "user", "uid %u, %s CAP_SYS_ADMIN%s%s", (unsigned)geteuid(),
		doctor->has_sys_admin ? "with" : "without",
		doctor->has_seccomp ? ", under a seccomp filter" : "",
		doctor->in_container ? ", in a container" : "");
}

/* ---- the kernel --------------------------------------------------------------------------- */

static void check_kernel(struct doctor *doctor)
{
	struct utsname names;
	int major = 0, minor = 0;

	uname(&names);
	sscanf(names.release, "%d.%d", &major, &minor);
	if (major > 5 || (major == 5 && minor >= 11)) {
		doctor_say(VERDICT_OK, "kernel", "%s %s %s", names.sysname, names.release,
			names.machine);
		return;
	}
	doctor->map_works = false;
	doctor_say(VERDICT_FAIL, "kernel", "%s %s: maps need 5.11", names.sysname, names.release);
	doctor_fix("boot a newer kernel; mounts may work all the same");
}

static void check_page_size(struct doctor *doctor)
{
	long bytes = sysconf(_SC_PAGESIZE);

	if (bytes == 4096) {
		doctor_say(VERDICT_OK, "page size", "4096 bytes");
		return;
	}
	doctor->map_works = false;
	doctor_say(VERDICT_FAIL, "page size", "%ld bytes: maps know pages of 4096 only", bytes);
	doctor_fix("boot a kernel with pages of 4096 bytes");
}

static void check_open_files(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= OPEN_FILES_MIN) {
		doctor_say(VERDICT_OK, "open files", "%ju at most (ulimit -n)",
			(uintmax_t)limit.rlim_cur);
		return;
	}
	doctor_say(VERDICT_WARN, "open files", "only %ju: connections and maps take one each",
		(uintmax_t)limit.rlim_cur);
	doctor_fix("ulimit -n %ju; in a systemd unit LimitNOFILE=",
		(uintmax_t)(limit.rlim_max < 1024 ? limit.rlim_max : 1024));
}

/* ---- all ---------------------------------------------------------------------------------- */

int command_doctor(const struct options *options)
{
	struct doctor doctor;

	(void)options;
	doctor_look(&doctor);
	check_kernel(&doctor);
	check_process(&doctor);
	check_page_size(&doctor);
	check_open_files();
	doctor_check_uffd(&doctor);
	doctor_check_fuse(&doctor);
	doctor_check_http();
	doctor_say(doctor.mount_works ? VERDICT_OK : VERDICT_FAIL, "pagein mount",
		doctor.mount_works ? "will work" : "will not work here");
	doctor_say(doctor.map_works ? VERDICT_OK : VERDICT_FAIL, "libpagein",
		doctor.map_works ? "will work" : "will not work here");
	return doctor.mount_works && doctor.map_works ? EXIT_SUCCESS : EXIT_FAILURE;
}
