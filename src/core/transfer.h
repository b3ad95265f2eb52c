/*
 * transfer.h - brings one range of an object: a ranged GET, the attempts after it, and the
 * publication of its pages as they arrive. All on the core's loop.
 */
#pragma once

#include <stdbool.h>

#include "object_private.h"

struct transfer;

/* Starts it; its pages must be marked inflight already. -errno: nothing was started. */
int transfer_start(struct object *object, struct range range, bool urgent);

/* Ends it at once; its pages are forgotten, no want is told. May be called from inside its
 * publication. */
void transfer_cancel(struct transfer *transfer);

/* Somebody waits for it now: if it is still in a queue, it comes before those that nobody waits
 * for. */
void transfer_hurry(struct transfer *transfer);

/* What is still missing. */
struct range transfer_left(const struct transfer *transfer);

/* The transfer of a node in object->transfers. */
struct transfer *transfer_of(struct list *node);

/* Frees the spare ones of a core. */
void transfer_pool_finish(struct core *core);
