/*
 * service.c - see service.h.
 *
 * Rejected: libsystemd, for a datagram of a few bytes; PR_SET_DUMPABLE, which also keeps the
 * process from its own /proc files and a debugger from it.
 */
#include "service.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "url.h"

/* The most connections to one server of each of 16 loops; programs that we run can bear it. */
#define FILES_WANTED 16384

/* ---- sd_notify ---------------------------------------------------------------------------- */

void service_notify(const char *lines)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;
	cleanup_fd int fd = -1;

	if (length < 2 || length >= sizeof address.sun_path || (*path != '/' && *path != '@'))
		return;
	memcpy(address.sun_path, path, length);
	if (*path == '@') /* an abstract one: neither a file, nor ended by a NUL */
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	length += offsetof(struct sockaddr_un, sun_path);
	if (fd < 0 || sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&address,
			      (socklen_t)length) < 0)
		log_warning("notify: %s: %m", path);
}

/* ---- logs --------------------------------------------------------------------------------- */

/* RFC 5424, section 6.2.1 */
static const int severities[] = {
	[LOG_DEBUG] = 7,
	[LOG_INFO] = 6,
	[LOG_WARNING] = 4,
	[LOG_ERROR] = 3,
};

static void log_to_journal(enum log_level level, const char *line, void *context)
{
	(void)context;
	/* One write(2), so that lines of several threads stay whole. */
	dprintf(STDERR_FILENO, "<%d>%s\n", severities[level], line);
}

/* $JOURNAL_STREAM is DEVICE:INODE of the stream that was ours when the service began. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat status;

	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

void service_log_to_stderr(void)
{
	log_set_handler(stderr_is_journal() ? log_to_journal : NULL, NULL);
}

/* Not from <syslog.h>: its macros have the names of log.h's levels, and other values. */
extern void syslog(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void log_to_syslog(enum log_level level, const char *line, void *context)
{
	(void)context;
	syslog(severities[level], "%s", line);
}

void service_log_to_syslog(void)
{
	log_set_handler(log_to_syslog, NULL);
}

/* ---- secrets ------------------------------------------------------------------------------ */

static void close_stream(FILE **stream)
{
	if (*stream)
		fclose(*stream);
}

void service_guard_core(void)
{
	cleanup(close_stream) FILE *filter = fopen("/proc/self/coredump_filter", "we");
	const struct rlimit none = {0, 0};

	/* Which a core_pattern that begins with '|' does not ask. */
	setrlimit(RLIMIT_CORE, &none);
	/* Without /proc, there is nothing to be done. */
	if (filter)
		fputs("0", filter);
}

void service_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_WANTED)
		return;
	files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
	setrlimit(RLIMIT_NOFILE, &files);
}

void service_hide_url(char *argument)
{
	size_t length = strlen(argument);
	cleanup_free char *told = malloc(length + 1);

	/* It is shorter, or the same. The rest of the argument becomes NULs. */
	if (told)
		strncpy(argument, url_tell_in(argument, told, length + 1), length);
}
