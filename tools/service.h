/*
 * service.h - what a service manager and an administrator expect of a process that stays: to be
 * told when it is ready, log lines with a level, and no secrets where others can read.
 *
 * For the main thread, before there are others; service_notify() for any.
 */
#pragma once

/* Lines of sd_notify(3), as "READY=1\nSTATUS=...". Nothing if nobody listens ($NOTIFY_SOCKET). */
void service_notify(const char *lines);

/* Log lines go to stderr; with a level in front ("<4>") when that is the journal. */
void service_log_to_stderr(void);

/* Log lines go to syslog(3). */
void service_log_to_syslog(void);

/*
 * This process leaves no core file; and what takes cores in place of files gets none of its memory,
 * which holds credentials and other people's data.
 */
void service_guard_core(void);

/* Descriptors for as many connections as options allow; RLIMIT_NOFILE is 1,024 for most. */
void service_raise_files(void);

/* Takes what is secret out of a URL on the command line, which ps(1) shows to everybody. */
void service_hide_url(char *argument);
