/*
 * uffd_space.c - the application's half of uffd_kernel.h: its addresses, the threads that touch
 * them, and its calls, each of which puts its events into the queue and waits until they have been
 * read.
 */
#include "uffd_private.h"

#include <assert.h>
#include <string.h>

struct space space;
struct page pages[SPACE_PAGES];
struct waiter waiters[WAITERS_MAX];
size_t waiter_count;
struct event events[EVENTS_MAX];
size_t event_count;
struct uffd_msg lies[LIES_MAX];
size_t lie_count;

void space_reset(void)
{
	memset(&space, 0, sizeof space);
	memset(pages, 0, sizeof pages);
	waiter_count = event_count = lie_count = 0;
}

/* ---- addresses ---------------------------------------------------------------------------- */

static bool in_space(uint64_t address)
{
	return address >= SPACE_START && address < page_address(SPACE_PAGES);
}

bool pages_of(uint64_t address, uint64_t length, size_t *ret_first, size_t *ret_end)
{
	if (!in_space(address))
		return false;
	*ret_first = (size_t)((address - SPACE_START) / SPACE_PAGE);
	length = (length + SPACE_PAGE - 1) / SPACE_PAGE;
	*ret_end = length < SPACE_PAGES - *ret_first ? *ret_first + (size_t)length : SPACE_PAGES;
	return true;
}

static bool all_of_kind(size_t page, size_t count, enum kind kind)
{
	for (size_t i = page; i < page + count; i++)
		if (pages[i].kind != kind)
			return false;
	return true;
}

/* ---- threads ------------------------------------------------------------------------------ */

/* What the thread finds: true, it has to wait. */
static bool must_wait(const struct page *page)
{
	return page->kind == OURS && page->registered && !page->present && !page->poisoned &&
	       !page->barred;
}

void space_touch(size_t page, int32_t thread)
{
	if (must_wait(&pages[page]) && waiter_count < WAITERS_MAX)
		waiters[waiter_count++] = (struct waiter){page, thread, true};
}

void space_repeat(size_t waiter)
{
	if (waiter < waiter_count)
		space_touch(waiters[waiter].page, waiters[waiter].thread);
}

size_t space_waiting(void)
{
	return waiter_count;
}

bool space_find_waiting(size_t waiter, size_t *ret_page)
{
	if (waiter_count == 0)
		return false;
	*ret_page = waiters[waiter % waiter_count].page;
	return true;
}

void waiters_wake(size_t first, size_t end)
{
	size_t count = waiter_count;

	waiter_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct waiter waiter = waiters[i];
		bool woken = waiter.page >= first && waiter.page < end;

		if (woken && !must_wait(&pages[waiter.page]))
			continue;
		waiter.unread |= woken;
		waiters[waiter_count++] = waiter;
	}
}

/* ---- the application ---------------------------------------------------------------------- */

static void event_add(uint8_t kind, uint64_t a, uint64_t b, uint64_t c)
{
	struct uffd_msg message = {.event = kind};

	assert(event_count < EVENTS_MAX);
	message.arg.reserved.reserved1 = a;
	message.arg.reserved.reserved2 = b;
	message.arg.reserved.reserved3 = c;
	events[event_count++] = (struct event){message, false};
}

static bool has_room(size_t page, size_t count)
{
	return count > 0 && page < SPACE_PAGES && count <= SPACE_PAGES - page &&
	       event_count + 8 < EVENTS_MAX;
}

void pages_forget(size_t page, size_t count)
{
	memset(&pages[page], 0, count * sizeof *pages);
}

/* One event for each run of the map's pages. */
static void unmap(size_t page, size_t count)
{
	for (size_t i = page, end; i < page + count; i = end) {
		for (end = i + 1;
			end < page + count && pages[end].registered == pages[i].registered;)
			end++;
		if (pages[i].registered && event_count < EVENTS_MAX)
			event_add(UFFD_EVENT_UNMAP, page_address(i), page_address(end), 0);
	}
	pages_forget(page, count);
}

void space_unmap(size_t page, size_t count)
{
	if (has_room(page, count))
		unmap(page, count);
}

void space_move(size_t from, size_t count, size_t to, bool keeps_old)
{
	if (!has_room(from, count) || !has_room(to, count) || !all_of_kind(from, count, OURS))
		return;
	if (from < to + count && to < from + count)
		return;
	/* One area: offsets go on, and so does what the kernel remembers of it. */
	for (size_t i = from + 1; i < from + count; i++)
		if (pages[i].offset != pages[i - 1].offset + SPACE_PAGE)
			return;
	for (size_t i = from; i < from + count; i++)
		if (pages[i].barred)
			return;
	unmap(to, count);
	memcpy(&pages[to], &pages[from], count * sizeof *pages);
	event_add(UFFD_EVENT_REMAP, page_address(from), page_address(to), count * SPACE_PAGE);
	if (!keeps_old) {
		unmap(from, count);
		return;
	}
	for (size_t i = from; i < from + count; i++)
		pages[i].present = pages[i].poisoned = false;
}

void space_drop(size_t page, size_t count)
{
	if (has_room(page, count) && all_of_kind(page, count, OURS))
		event_add(UFFD_EVENT_REMOVE, page_address(page), page_address(page + count), 0);
}

bool space_grow(size_t page, size_t count)
{
	if (page == 0 || !has_room(page, count) || pages[page - 1].kind != OURS ||
		!all_of_kind(page, count, NOTHING))
		return false;
	for (size_t i = page; i < page + count; i++) {
		pages[i] = (struct page){.kind = OURS, .registered = true};
		pages[i].offset = pages[i - 1].offset + SPACE_PAGE;
	}
	return true;
}

void space_map_other(size_t page, size_t count)
{
	if (!has_room(page, count) || !all_of_kind(page, count, NOTHING))
		return;
	for (size_t i = page; i < page + count; i++)
		pages[i].kind = OTHER;
}

/* madvise(2) takes the pages away when its thread goes on, not before. */
static void drop_now(const struct uffd_msg *message)
{
	size_t first, end;

	if (!pages_of(message->arg.remove.start,
		    message->arg.remove.end - message->arg.remove.start, &first, &end))
		return;
	for (size_t i = first; i < end; i++)
		if (pages[i].kind == OURS)
			pages[i].present = pages[i].poisoned = false;
}

bool space_resume(void)
{
	size_t count = event_count;
	bool any = false;

	event_count = 0;
	for (size_t i = 0; i < count; i++) {
		if (!events[i].read) {
			events[event_count++] = events[i];
			continue;
		}
		any = true;
		if (events[i].message.event == UFFD_EVENT_REMOVE)
			drop_now(&events[i].message);
	}
	return any;
}

/* ---- messages ----------------------------------------------------------------------------- */

void space_lie(const struct uffd_msg *message)
{
	if (lie_count < LIES_MAX)
		lies[lie_count++] = *message;
	space.lies = true;
}

bool space_is_readable(void)
{
	bool any = lie_count > 0;

	for (size_t i = 0; i < waiter_count; i++)
		any |= waiters[i].unread;
	for (size_t i = 0; i < event_count; i++)
		any |= !events[i].read;
	return any;
}
