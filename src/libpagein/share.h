/*
 * share.h - the bytes of one version of an object, kept once for all processes of a user that map
 * it with PAGEIN_SHARED.
 *
 * Two memfds, which the processes of a group hold in common: the data, and a ledger that says which
 * pages are present, and who is fetching which. share_meet.c is how they find each other. The
 * ledger is for economy only: whoever fetches a page writes the same bytes to the same place, so a
 * lease that is stolen, or two that are held, cost a request and never a wrong byte. A page is
 * present when all of its bytes have been written, and stays so.
 *
 *   page:  free --lease--> leased --publish--> present
 *            ^----release----/ \--owner dies, or is stuck--> leased by another
 *
 * share_join() is on any thread and may take a second; all else is on the loop that entered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct share;

/*
 * Finds or founds the group of this version of the object (size > 0). Without a validator, or where
 * others can't be reached, the group is the caller's alone. -ENOMEM, -EMFILE, -ENOSPC
 */
int share_join(const char *url, const char *validator, uint64_t size, struct share **ret);

/*
 * From now on the loop serves the group, and `poked` is called on it whenever something may have
 * changed that share_wait() waits for. 0 or -errno.
 */
int share_enter(
	struct share *share, struct loop *loop, void (*poked)(void *context), void *context);

/* Ends it, entered or not. What this process leased is free again. NULL is fine. */
void share_destroy(struct share *share);

/* The data, to be mapped; and where all of it can be written. */
int share_fd(const struct share *share);
uint8_t *share_bytes(const struct share *share);

/* Which pages of the object's 64-page block are present. */
uint64_t share_present(const struct share *share, uint64_t block);
/* These are, from now on: their bytes have been written. */
void share_publish(struct share *share, uint64_t block, uint64_t pages);
/* These are not: the data turned out to have a hole. */
void share_retract(struct share *share, uint64_t block, uint64_t pages);

/*
 * Which of these pages this process shall fetch: those that nobody else has leased, or somebody
 * dead; by force all, and from then on all of who had them. A page may have become present in
 * between.
 */
uint64_t share_lease(struct share *share, uint64_t block, uint64_t pages, bool force);
/* Of these pages what this process has leased is free again. */
void share_release(struct share *share, uint64_t block, uint64_t pages);

/* Does this process wait for pages of others? Before it looks once more if they are present. */
void share_wait(struct share *share, bool waits);
/* Pokes those who wait: something was published or released. */
void share_poke(struct share *share);

/* ---- share_meet.c -------------------------------------------------------------------------- */

#include "list.h"
#include "loop.h"

struct share_fds {
	int data;
	int ledger;
};

/*
 * How a group's members are found: one of them, the keeper, listens at a name that follows from
 * what they share, and hands both descriptors to who asks. The others stay connected to it; when it
 * dies, one of them takes its place.
 */
struct meeting {
	char name[64];
	struct share_fds fds;
	struct loop *loop;
	struct loop_fd door; /* listens, or is connected to the keeper; -1: alone */
	bool keeps;
	struct list guests;
	unsigned tries;
	struct loop_timer timer;
	void (*changed)(struct meeting *meeting);
};

/* A descriptor that a child of fork(2) closes; and its end. */
void share_fd_open(int fd);
void share_fd_close(int *fd);
/* In that child. */
void share_fds_forget(void);

/*
 * Finds the group, or founds it with the descriptors that found() makes; name NULL: founds one that
 * nobody finds. -errno of found(). May take a second.
 */
int meeting_join(struct meeting *meeting, const char *name,
	int (*found)(struct share_fds *ret, void *context), void *context);
/* On the loop: serves the door. `changed`: somebody has gone. */
int meeting_enter(struct meeting *meeting, struct loop *loop, void (*changed)(struct meeting *));
/* Leaves, and closes both descriptors. */
void meeting_finish(struct meeting *meeting);
