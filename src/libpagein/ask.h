/*
 * ask.h - questions of signal handlers to a loop: "what is to become of this touch?", and the
 * answers. See ask.c.
 *
 * Threads: ask_push(), ask_note() and ask_wait() in a signal handler with all signals blocked; the
 * rest on the loop, or before it has started.
 */
#pragma once

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "loop.h"

struct map_face;

enum ask_answer {
	ASK_AGAIN,   /* touch it again: it has been filled, or something else has changed */
	ASK_FAILED,  /* it can't be had */
	ASK_FOREIGN, /* nothing of ours is there */
};

struct ask {
	_Atomic uint32_t state; /* whose it is: ask.c */
	uint32_t next;
	struct map_face *face;
	uintptr_t address;
	uint32_t tid;
	int number; /* of the signal; 0: a note, which nobody waits for */
	enum ask_answer answer;
	int err;
	struct list node; /* the loop's own, as is: */
	uint64_t offset;  /* of the page, in the object */
};

/* A loop's questions. */
struct asks {
	_Atomic uint32_t newest; /* its index + 1; 0: none */
	struct loop_fd bell;
	void (*asked)(struct ask *ask); /* on the loop; it, or somebody later, answers */
};

/* -EMFILE, -ENFILE, -ENOMEM */
int asks_open(struct asks *asks, struct loop *loop, void (*asked)(struct ask *ask));
void asks_close(struct asks *asks);
/* Hands out what has been asked until now. */
void asks_drain(struct asks *asks);
/* In the child of fork(2): whoever asked is not here. */
void asks_forget(void);

/* NULL: too many threads are asking; come back later. */
struct ask *ask_push(struct asks *asks, struct map_face *face, uintptr_t address, int number);
/* Tells the loop that there is something to see at the face. */
void ask_note(struct asks *asks, struct map_face *face);
/*
 * Waits for the answer. ASK_AGAIN also as soon as a signal is pending that `open`, the mask outside
 * of the handler, lets through. With ASK_FAILED *ret_err is -errno.
 */
enum ask_answer ask_wait(struct ask *ask, const sigset_t *open, int *ret_err);

/* Whoever asked does not wait any more. */
bool ask_is_withdrawn(const struct ask *ask);
/* The ask is gone, and on no list by then. err: -errno, with ASK_FAILED. */
void ask_answer(struct ask *ask, enum ask_answer answer, int err);
