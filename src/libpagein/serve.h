/*
 * serve.h - maps in the child of a fork(2) whose faults the parent serves, through the descriptors
 * that the kernel gives it (UFFD_EVENT_FORK). See serve.c.
 */
#pragma once

struct context;
struct pagein_map;
struct serving;

/* ---- in the parent, in this order ---- */

/* Before fork(2), while the loop stands still: from now on its thread waits for the kernel's news
 * of the child. -errno: the child will have nothing. */
int serving_begin(struct context *context, struct serving **ret);
/* After it: the loop may be released. Frees serving. */
void serving_end(struct serving *serving);

/* A map that goes (on the loop): its children serve themselves from now on. */
void serve_hand_over(struct pagein_map *map);

/* ---- in the child ---- */

/* Takes what the parent sends: the descriptor of each map of the roll; frees serving. The loop has
 * not started. */
int serving_receive(struct context *context, struct serving *serving);
/* Or takes none of it, for the descriptors that wait in the socket are unread as long as it is
 * open. NULL is fine. */
void serving_refuse(struct serving *serving);
