/* process.h - what a test leaves behind in its own process. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Open descriptors of this process. */
int count_fds(void);

/* Threads of this process. */
int count_threads(void);

/*
 * Faults that wait in all userfaultfds of this process ("pending:" of fdinfo); -1: it has none.
 */
int count_pending_faults(void);

/*
 * Runs the function in a forked child. Its exit status, or 128 + the signal that ended it; a child
 * that takes longer than ten seconds is killed: -1.
 */
int run_in_child(int (*function)(void *context), void *context);
