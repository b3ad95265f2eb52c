/* guard.h - the handler for signals of touches; see guard.c. */
#pragma once

/* Installs it, once. Any thread, but not in a signal handler. -errno, with words. */
int guard_install(void);

/* Before a page becomes PROT_NONE: guards, if there are any, get SIGSEGV too. The loop. */
void guard_expect_bars(void);

/*
 * For tests, whose frame puts other handlers back after each: as if it had never been installed.
 */
void guard_forget(void);
