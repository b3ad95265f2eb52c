/*
 * fork.h - what becomes of a context's maps in the child of a fork(2). Called by context.c, under
 * its lock, with all loops standing still and signals blocked.
 */
#pragma once

#include <stdbool.h>

struct context;

/* Holds the loop, when there is no event to be read; or, if there always is one, all the same. */
void fork_hold(struct context *context);
/* Before: the child shall inherit the memory. */
void fork_prepare(struct context *context);
/* After, in the parent: but nobody else's child. */
void fork_finish(struct context *context);
/*
 * In the child, before it has asked for any memory: nothing else shall come to lie where it has
 * lost a map's.
 */
void fork_reserve(struct context *context);
/*
 * In the child, whose loop has been abandoned: makes the context the child's own. false: its
 * objects and maps can't be used here.
 */
bool fork_arm(struct context *context);
