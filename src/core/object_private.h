/* object_private.h - what the core's other files need of an object. All on the loop. */
#pragma once

#include "core_private.h"
#include "integrity.h"
#include "object.h"
#include "radix.h"

struct object {
	struct core *core;
	struct remote *remote;
	enum object_keep keep;
	struct radix blocks; /* of struct block, by index */
	struct list wants;
	struct list transfers;
	struct readahead readahead;
	uint64_t first_byte_ns; /* from request to answer, at the best of late; 0: none measured */
	struct borrow *borrow;  /* who reads its blocks on other threads; NULL: nobody */
	struct object_walk *walks;
	bool doomed;          /* destroyed from inside a walk, which frees it */
	struct failure stale; /* -ESTALE: the object has changed; -EIO: it was found wrong */
	char stale_error[SOURCE_ERROR_MAX];
	void (*stale_told)(void *context); /* NULL: nobody is */
	void *stale_context;
	uint32_t trace_number;
	struct object_figures counts;
	struct ranking_row *row; /* among the most used; NULL: is not */
	struct integrity integrity;
	struct hash_list *hashes; /* of its blocks; NULL: none */
	bool says_digests;        /* its answers do, and so must be short: hold.c */
};

/* check.c: -ENOMEM */
int object_integrity_init(struct object *object);
void object_integrity_finish(struct object *object);
/* Bytes are about to be published: whole pages, the last may be short. -EIO: they must not be, and
 * object_stale() says why; the object is broken. */
int object_check(struct object *object, struct range range, const uint8_t *bytes);

/* A transfer's answer began so long after its request. */
void object_note_first_byte(struct object *object, uint64_t first_byte_ns);

/* Will a want that overlaps range read it in its blocks? */
bool object_is_read_in_place(struct object *object, struct range range);

/* The block at index, made if need be; NULL: out of memory. */
struct block *object_block(struct object *object, uint64_t index);
static inline struct block *object_find_block(struct object *object, uint64_t index)
{
	return radix_get(&object->blocks, index);
}
/* Takes it out of the object if no bit is set any more. */
void object_put_block(struct object *object, struct block *block);
/* Calls function for each block that exists in range, with the bits of the pages in range. */
void object_each_block(struct object *object, struct range range,
	void (*function)(struct object *, struct block *, uint64_t mask));

/* The object's bytes, up to the end of its last page. */
static inline struct range object_pages(const struct object *object)
{
	return (struct range){0, align_up(object_size(object), PAGE_BYTES)};
}

/* Tells the wants, as object_publish(). false: the object is gone. */
bool object_tell_arrived(struct object *object, const struct arrival *arrival);

/*
 * Whole pages of a transfer are here, in arrival->bytes: not in flight any more, present if the
 * object keeps them (then the bytes are in their block); wants are told. They may destroy the
 * object and cancel the transfer: false if the object is gone.
 */
bool object_publish(struct object *object, const struct arrival *arrival);

/* These pages are in flight no longer and will not come; wants are told. false: the object is gone.
 */
bool object_give_up(struct object *object, struct range range, const struct failure *failure);
/* The same without telling: the transfer was cancelled. */
void object_forget(struct object *object, struct range range);
