/*
 * memory_source.h - a source without a network, for the targets: objects in memory, each question
 * waits until the target answers it, and how it does so.
 *
 * memory_source.c defines http_source_create(), so that cores get this one. Every byte is a
 * function of a seed and its offset, and a seed is one version of one object: bytes tell which
 * version they are of.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "source.h"

#define MEMORY_URL "http://memory/"
#define MEMORY_SEEDS 64 /* 1 to 63: sets of them are an uint64_t */

struct memory_object {
	const char *key;
	uint64_t size;
	unsigned seed;
	bool gone;
};

struct memory_store {
	struct memory_object *objects; /* in the order of keys */
	size_t count;
	size_t page_names; /* of a page of a listing */
	bool tells_sizes;  /* a listing has sizes and ETags */
	bool probes_bring; /* the first bytes */
	unsigned pinned;   /* gauge */
};
extern struct memory_store memory_store;

uint8_t memory_byte(unsigned seed, uint64_t offset);

enum memory_answer {
	MEMORY_WHOLE,  /* all that is left of it */
	MEMORY_PART,   /* a page of names; or `bytes`, and no end */
	MEMORY_AGAIN,  /* a fault that passes */
	MEMORY_FAILED, /* one that does not */
	MEMORY_ANSWERS,
};

/* Questions that wait. */
size_t memory_waiting(void);
/* Answers the n-th of them. */
void memory_answer(size_t n, enum memory_answer answer, uint64_t bytes);
