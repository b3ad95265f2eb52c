/*
 * map_touch.h - what is to become of a touch that has raised a signal.
 */
#pragma once

#include "ask.h"

/*
 * In a signal handler, with all signals blocked. number: SIGBUS or SIGSEGV; guarded: somebody wants
 * to know why a page failed. Waits for the page if need be, as ask_wait(). ASK_FOREIGN: it is not
 * ours, or nothing is known of a reason.
 */
enum ask_answer touch_resolve(
	int number, uintptr_t address, bool guarded, const sigset_t *open, int *ret_err);

/* The loop's part: answers, or has map_answer() answer later. */
void map_asked(struct ask *ask);
