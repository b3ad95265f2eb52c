/*
 * radix.c - nodes of 64 pointers; the lowest level points at values. Nodes are never freed before
 * the tree is: a block that comes and goes, as on the fault path, mallocs its node once.
 *
 * Rejected: a hash (a rehash of millions of entries is a pause that a page fault would feel), and
 * two fixed levels (random touches of 1 TiB would allocate nearly every second-level array).
 */
#include "radix.h"

#include <assert.h>
#include <stdlib.h>

#define FANOUT_BITS 6
#define FANOUT (1U << FANOUT_BITS)

struct radix_node {
	void *slot[FANOUT];
};

void radix_init(struct radix *radix, uint64_t slots)
{
	unsigned height = 1;

	while (height * FANOUT_BITS < 64 && slots > UINT64_C(1) << (height * FANOUT_BITS))
		height++;
	*radix = (struct radix){.slots = slots, .height = height};
}

static struct radix_node *radix_take_spare(struct radix *radix)
{
	struct radix_node *node = radix->spare;

	if (!node)
		return NULL;
	radix->spare = node->slot[0];
	radix->spares--;
	node->slot[0] = NULL;
	return node;
}

static struct radix_node *radix_node_create(struct radix *radix)
{
	struct radix_node *node = radix_take_spare(radix);

	return node ? node : calloc(1, sizeof *node);
}

void radix_reserve(struct radix *radix)
{
	while (radix->spares < radix->height) {
		struct radix_node *node = calloc(1, sizeof *node);

		if (!node)
			return;
		node->slot[0] = radix->spare;
		radix->spare = node;
		radix->spares++;
	}
}

static void radix_free(struct radix_node *node, unsigned height)
{
	if (!node)
		return;
	if (height > 1)
		for (unsigned i = 0; i < FANOUT; i++)
			radix_free(node->slot[i], height - 1);
	free(node);
}

void radix_finish(struct radix *radix)
{
	struct radix_node *spare;

	radix_free(radix->root, radix->height);
	radix->root = NULL;
	while ((spare = radix_take_spare(radix)))
		free(spare);
}

static unsigned radix_digit(uint64_t index, unsigned level)
{
	return (unsigned)(index >> (level * FANOUT_BITS)) & (FANOUT - 1);
}

void *radix_get(const struct radix *radix, uint64_t index)
{
	struct radix_node *node = radix->root;

	if (index >= radix->slots)
		return NULL;
	for (unsigned level = radix->height - 1; node && level > 0; level--)
		node = node->slot[radix_digit(index, level)];
	return node ? node->slot[radix_digit(index, 0)] : NULL;
}

void **radix_slot(struct radix *radix, uint64_t index)
{
	struct radix_node *node;

	assert(index < radix->slots);
	if (!radix->root && !(radix->root = radix_node_create(radix)))
		return NULL;
	node = radix->root;
	for (unsigned level = radix->height - 1; level > 0; level--) {
		void **slot = &node->slot[radix_digit(index, level)];

		if (!*slot && !(*slot = radix_node_create(radix)))
			return NULL;
		node = *slot;
	}
	return &node->slot[radix_digit(index, 0)];
}

static void *radix_scan(
	const struct radix_node *node, unsigned level, uint64_t *index, uint64_t end)
{
	uint64_t step = UINT64_C(1) << (level * FANOUT_BITS);

	for (unsigned i = radix_digit(*index, level); i < FANOUT && *index < end; i++) {
		void *found = node->slot[i];

		/* A subtree without a value leaves *index at the beginning of the next one. */
		if (found && level > 0)
			found = radix_scan(found, level - 1, index, end);
		else if (!found)
			*index = (*index & ~(step - 1)) + step;
		if (found)
			return found;
	}
	return NULL;
}

void *radix_next(const struct radix *radix, uint64_t *index, uint64_t end)
{
	if (end > radix->slots)
		end = radix->slots;
	if (!radix->root || *index >= end)
		return NULL;
	return radix_scan(radix->root, radix->height - 1, index, end);
}
