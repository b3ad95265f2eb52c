/*
 * address.c - a sorted array of address ranges, read without a lock.
 *
 * Writers take a mutex with signals blocked, for the length of the change and no system call:
 * nobody holds it over malloc, munmap or a call into a loop, so loops may take it, too. Readers
 * use a sequence count: odd while the array is being changed, another one afterwards; who has read
 * meanwhile reads again. Every field is atomic, for a reader may look at any of them at any time.
 * An array that has become too small is replaced, and kept: a reader may still be in it. All of
 * them together take less than twice the memory of the last.
 *
 * A reader then counts itself as a user of the face that it found, and looks at the sequence
 * once more: if it is the same, the map is there until the reader leaves, because address_hide()
 * takes the map out of the array first, and waits for the users to be gone then. A user is a signal
 * handler with all signals blocked, on its way to one ioctl(2) or one push to a list: microseconds.
 * Faces are never freed, so that counting oneself on a wrong one does no harm.
 *
 * The array is a copy of what the loops know, and a loop learns of mremap(2) and munmap(2) by
 * events. The caller of these goes on as soon as the event was read, a moment before the array is
 * right. So who does not find an address asks address_settle(), and looks again.
 *
 * Cost: a search is a few loads for each doubling of the number of maps; a change copies the array,
 * 32 bytes for each map.
 *
 * Rejected: a tree, a lock for it in the handler, or hazard pointers for its nodes; changes are as
 * rare as mmap(2).
 */
#include "address.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "face.h"

#define SETTLE_YIELDS 100 /* a loop that has a CPU is done by then */
#define SETTLE_NAPS 20000 /* of NAP_NS: a second, for one that has none */
#define NAP_NS 50000

struct address_range {
	_Atomic uintptr_t start;
	_Atomic uintptr_t end;
	_Atomic uint64_t offset; /* of start, in the object */
	_Atomic(struct map_face *) face;
};

struct address_array {
	struct address_array *outgrown; /* the one before it */
	size_t max;
	struct address_range ranges[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that writes; a leaf */
static sigset_t signals_before;                          /* of who holds it */
static _Atomic uint64_t sequence;
static _Atomic(struct address_array *) array;
static _Atomic size_t count;
static _Atomic unsigned changing; /* loops that apply events now */

/* ---- reading: any thread, and signal handlers ------------------------------------------------ */

/* The last range that starts at or below the address, as long as nobody writes. */
static struct address_range *range_below(uintptr_t address)
{
	struct address_array *in = atomic_load(&array);
	size_t low = 0, high = atomic_load(&count);

	/* While somebody writes, the two may not belong together. */
	if (!in || high > in->max)
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (atomic_load(&in->ranges[middle].start) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &in->ranges[low - 1] : NULL;
}

static bool place_at(uintptr_t address, struct address_place *ret)
{
	struct address_range *range = range_below(address);

	if (!range)
		return false;
	ret->face = atomic_load(&range->face);
	ret->known = address < atomic_load(&range->end);
	ret->offset = atomic_load(&range->offset) + (address - atomic_load(&range->start));
	return true;
}

bool address_find(uintptr_t address, struct address_place *ret)
{
	for (;;) {
		uint64_t before = atomic_load(&sequence);
		bool found = before % 2 == 0 && place_at(address, ret);

		if (before % 2 != 0) {
			sched_yield();
			continue;
		}
		if (found)
			atomic_fetch_add(&ret->face->users, 1);
		if (atomic_load(&sequence) == before)
			return found;
		if (found)
			address_leave(ret->face);
	}
}

void address_leave(struct map_face *face)
{
	atomic_fetch_sub(&face->users, 1);
}

uint64_t address_sequence(void)
{
	return atomic_load(&sequence);
}

uint64_t address_settle(void)
{
	static const struct timespec nap = {0, NAP_NS};

	for (int i = 0; i < SETTLE_NAPS && atomic_load(&changing) > 0; i++)
		if (i < SETTLE_YIELDS)
			sched_yield();
		else
			/* libc's is a cancellation point. */
			syscall(SYS_nanosleep, &nap, NULL);
	return address_sequence();
}

void address_change_begin(void)
{
	atomic_fetch_add(&changing, 1);
}

void address_change_end(void)
{
	atomic_fetch_sub(&changing, 1);
}

/* ---- writing ------------------------------------------------------------------------------- */

void address_hold(void)
{
	sigset_t all, before;

	/* A handler that has interrupted who holds it would wait for a loop that waits for it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&lock);
	signals_before = before;
}

void address_release(void)
{
	sigset_t before = signals_before;

	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void write_begin(void)
{
	address_hold();
	atomic_fetch_add(&sequence, 1);
}

static void write_end(void)
{
	atomic_fetch_add(&sequence, 1);
	address_release();
}

static void range_set(struct address_range *range, const struct address_range *value)
{
	range->start = value->start;
	range->end = value->end;
	range->offset = value->offset;
	range->face = value->face;
}

/* An array of at least so many, to take the place of a smaller one. NULL: it is large enough. */
static int array_prepare(size_t need, struct address_array **ret)
{
	struct address_array *now = atomic_load(&array);
	size_t max = now ? now->max : 32;

	*ret = NULL;
	if (now && max >= need)
		return 0;
	while (max < need)
		max *= 2;
	*ret = calloc(1, sizeof **ret + max * sizeof(*ret)->ranges[0]);
	if (!*ret)
		return -ENOMEM;
	(*ret)->max = max;
	return 0;
}

static void array_replace(struct address_array *larger)
{
	struct address_array *now = atomic_load(&array);

	for (size_t i = 0; i < count; i++)
		range_set(&larger->ranges[i], &now->ranges[i]);
	larger->outgrown = now;
	atomic_store(&array, larger);
}

static void ranges_remove(const struct map_face *face)
{
	struct address_array *now = atomic_load(&array);
	size_t left = 0;

	for (size_t i = 0; i < count; i++)
		if (now->ranges[i].face != face)
			range_set(&now->ranges[left++], &now->ranges[i]);
	count = left;
}

/* There is room for it. */
static void range_insert(struct map_face *face, const struct extent *extent)
{
	struct address_array *now = atomic_load(&array);
	struct address_range range = {
		extent->address, extent->address + extent->length, extent->offset, face};
	size_t i = count;

	for (; i > 0 && now->ranges[i - 1].start > extent->address; i--)
		range_set(&now->ranges[i], &now->ranges[i - 1]);
	range_set(&now->ranges[i], &range);
	count++;
}

int address_show(struct map_face *face, const struct extents *extents)
{
	struct address_array *larger = NULL;
	bool fits;

	do {
		/* No malloc under the lock. */
		if (array_prepare(count + extents->count, &larger) < 0)
			return -ENOMEM;
		write_begin();
		if (larger && (!array || larger->max > array->max) && larger->max >= count) {
			array_replace(larger);
			larger = NULL;
		}
		ranges_remove(face);
		fits = array->max >= count + extents->count;
		for (size_t i = 0; i < extents->count && fits; i++)
			if (!extents->list[i].hole && extents->list[i].length > 0)
				range_insert(face, &extents->list[i]);
		write_end();
		/* Others have used up the room meanwhile, or have made some. */
		free(larger);
	} while (!fits);
	return 0;
}

void address_hide(struct map_face *face)
{
	static const struct timespec moment = {0, 20000};

	write_begin();
	if (array)
		ranges_remove(face);
	write_end();
	while (atomic_load(&face->users) > 0)
		nanosleep(&moment, NULL);
}
