/*
 * borrow.h - cached pages as other threads may read them: those that a fault has interrupted, in
 * the handler of its signal. See borrow.c.
 *
 * Threads: borrow_page() and borrow_return() from any, also in a signal handler, as long as the
 * object exists; the rest on the core's loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct block;
struct borrow;
struct object;

/* A table for an object of so many bytes. NULL: out of memory, or of addresses. */
struct borrow *borrow_create(uint64_t size);
void borrow_destroy(struct borrow *borrow);

/*
 * The bytes of the page at offset (a page's start, whole inside the object), if they are cached:
 * they stay until borrow_return(*ret_block), which is to come within microseconds. NULL: not there,
 * or not for now.
 */
const uint8_t *borrow_page(struct borrow *borrow, uint64_t offset, struct block **ret_block);
void borrow_return(struct block *block);

/* Pages of the block are in its buffer now. A borrow of NULL is fine: nobody borrows. */
void borrow_offer(struct borrow *borrow, struct block *block);
/* Nobody gets it any more. false: somebody has it, and nothing has changed. Never waits. */
bool borrow_revoke(struct borrow *borrow, struct block *block);
