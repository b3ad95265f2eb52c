/*
 * signals.h - the signals of our own threads.
 */
#pragma once

#include <pthread.h>
#include <signal.h>

/*
 * For a thread that is about to be made: none of the application's handlers shall run in it. What
 * comes of a thread's own mistakes is let through, or the kernel would kill the process without a
 * word to whoever reports crashes.
 */
static inline void signals_block(sigset_t *ret_before)
{
	static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	sigset_t others;

	sigfillset(&others);
	for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
		sigdelset(&others, own[i]);
	pthread_sigmask(SIG_SETMASK, &others, ret_before);
}

static inline void signals_restore(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}
