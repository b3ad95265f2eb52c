/*
 * sandbox.h - gives up, for good, what a process that reads the answers of servers does not need:
 * most files, all changes of files, most system calls, capabilities, new privileges.
 *
 * Before threads start: what they may do they have from the thread that makes them. What this
 * kernel does not have is logged at info, and the rest is given up. Never in libpagein, whose
 * process is somebody else's.
 */
#pragma once

struct needs;

void sandbox_enter(const struct needs *needs);

/* ---- the parts of it: 0, or -errno, and nothing has been given up ----------------------- */

/* Files, by Landlock (sandbox_files.c). Returns its ABI. -ENOSYS, -EOPNOTSUPP: there is none */
int sandbox_files(const struct needs *needs);

/*
 * System calls, by seccomp (sandbox_calls.c). With programs: less, as they have the same filter.
 */
int sandbox_calls(const struct needs *needs);
