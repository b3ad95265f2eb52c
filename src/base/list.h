/*
 * list.h - an intrusive, circular, doubly linked list. A node is a member of what it links; a node
 * that is in no list points at itself, so that list_remove() may be called twice.
 */
#pragma once

#include <stdbool.h>

#include "cleanup.h"

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

static inline void list_append(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_prepend(struct list *head, struct list *node)
{
	list_append(head->next, node);
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves all of `from` to the end of `to`. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

/* The body must not remove any node but, with the safe form, the current one. */
#define list_for_each(node, head) \
	for (struct list *node = (head)->next; node != (head); node = node->next)
#define list_for_each_safe(node, head)                                                     \
	for (struct list *node = (head)->next, *node##_next_ = node->next; node != (head); \
		node = node##_next_, node##_next_ = node->next)
