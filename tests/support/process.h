/* process.h - what a test leaves behind in its own process. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Open descriptors of this process. */
int count_fds(void);

/*
 * Threads of this process that bear this name, once there are `expected` of them: the kernel lists
 * a thread that was joined for a moment longer. Waits five seconds at most.
 */
int count_threads(const char *name, int expected);

/*
 * Faults that wait in all userfaultfds of this process ("pending:" of fdinfo); -1: it has none.
 */
int count_pending_faults(void);

/*
 * Runs the function in a forked child. Its exit status, or 128 + the signal that ended it; a child
 * that takes longer than ten seconds is killed: -1.
 */
int run_in_child(int (*function)(void *context), void *context);
