/*
 * head.h - the head of an answer: a status and fields, edited at will, then written out. One
 * thread. Names and values are borrowed until origin_head_write(), but for those that a call says
 * it copies.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORIGIN_FIELDS_MAX 48

struct head_field {
	const char *name;
	const char *value;
	size_t name_length;
	size_t value_length;
};

struct head {
	int status;
	const char *status_line; /* replaces the whole line when not NULL */
	bool http10;
	unsigned interim;  /* this many 103 answers come before it */
	unsigned flood;    /* this many more fields */
	size_t long_field; /* one more field, with a value of so many bytes */
	bool nul_field;    /* one more field, with a NUL in its value */
	bool odd_case;     /* names and blanks as odd as they may be */
	size_t count;
	size_t arena_used;
	struct head_field fields[ORIGIN_FIELDS_MAX];
	char arena[1024];
};

const char *origin_reason(int status);

void origin_head_init(struct head *head, int status);

/* Appends; a field beyond ORIGIN_FIELDS_MAX is dropped. */
void origin_head_add(struct head *head, const char *name, const char *value);

/* Replaces all fields of that name, or appends. */
void origin_head_set(struct head *head, const char *name, const char *value);

void origin_head_drop(struct head *head, const char *name);

/* The value is formatted into the head's own room. */
void origin_head_add_number(struct head *head, const char *name, uint64_t value);
void origin_head_add_content_range(struct head *head, uint64_t first, uint64_t last, uint64_t size);
void origin_head_add_unsatisfied(struct head *head, uint64_t size); /* its form in a 416 */

/*
 * Writes it into room, or into memory from malloc() when it does not fit there; *ret points at it.
 * Its length, or -ENOMEM.
 */
long origin_head_write(const struct head *head, char *room, size_t room_size, char **ret);
