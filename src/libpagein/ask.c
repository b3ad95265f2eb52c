/*
 * ask.c - how a thread in a signal handler asks a loop, and waits.
 *
 *  FREE --handler--> TAKEN --pushed--> WAITING --answered--> ANSWERED --handler--> FREE
 *                                         \--a signal is pending--> WITHDRAWN --loop--> FREE
 *
 * Asks come from one table, by compare-and-swap; they are pushed onto the loop's stack, which it
 * takes as a whole (so that there is no ABA), and the first of them rings its eventfd(2). The
 * thread sleeps in a futex on the state. All of this is allowed in a signal handler: no lock, no
 * malloc, system calls without libc's cancellation points. The loop answers and goes on; it never
 * waits for a handler.
 *
 * Signals. A handler runs with all signals blocked, and the network may take its time. A thread
 * that waits for a fault in the kernel would run its handlers meanwhile. So this one looks, at
 * first every SLICE_NS and later at longer intervals, whether a signal is pending that its code
 * lets through: then it withdraws, the handler returns, the signal is delivered where the touch
 * was, and the touch comes again. Rejected: opening the mask while it waits. The application's
 * handlers would run on top of this one's frame, for which a small alternate stack has no room,
 * and might jump out of it, so that an ask would belong to nobody.
 *
 * Cost: two system calls and a switch to the loop and back; a thread that waits long wakes up 50
 * times a second.
 */
#include "ask.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"

#define ASKS_MAX 1024 /* threads that wait at once: more come back after a nap */
#define SLICE_NS 1000000
#define SLICE_NS_MAX 20000000 /* what a signal may be late: nobody sees it */

enum ask_state {
	ASK_FREE,
	ASK_TAKEN,
	ASK_WAITING,
	ASK_WITHDRAWN,
	ASK_ANSWERED,
};

static struct ask table[ASKS_MAX];
static _Atomic uint32_t hint; /* where to look for a free one */

/* ---- asking: in a signal handler ------------------------------------------------------------- */

static bool ask_move(struct ask *ask, uint32_t from, uint32_t to)
{
	return atomic_compare_exchange_strong(&ask->state, &from, to);
}

static struct ask *ask_take(void)
{
	uint32_t first = atomic_fetch_add_explicit(&hint, 1, memory_order_relaxed);

	for (uint32_t i = 0; i < ASKS_MAX; i++) {
		struct ask *ask = &table[(first + i) % ASKS_MAX];

		if (atomic_load_explicit(&ask->state, memory_order_relaxed) == ASK_FREE &&
			ask_move(ask, ASK_FREE, ASK_TAKEN))
			return ask;
	}
	return NULL;
}

static void ask_ring(const struct asks *asks)
{
	uint64_t one = 1;

	while (syscall(SYS_write, asks->bell.fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static struct ask *ask_put(
	struct asks *asks, struct map_face *face, uintptr_t address, int number, uint32_t state)
{
	struct ask *ask = ask_take();
	uint32_t newest;

	if (!ask)
		return NULL;
	ask->face = face;
	ask->address = address;
	ask->tid = (uint32_t)syscall(SYS_gettid);
	ask->number = number;
	atomic_store(&ask->state, state);
	newest = atomic_load(&asks->newest);
	do
		ask->next = newest;
	while (!atomic_compare_exchange_weak(&asks->newest, &newest, (uint32_t)(ask - table) + 1));
	if (newest == 0)
		ask_ring(asks);
	return ask;
}

struct ask *ask_push(struct asks *asks, struct map_face *face, uintptr_t address, int number)
{
	return ask_put(asks, face, address, number, ASK_WAITING);
}

void ask_note(struct asks *asks, struct map_face *face)
{
	(void)ask_put(asks, face, 0, 0, ASK_WITHDRAWN);
}

/* The kernel's own set: 64 signals, libc's two included. */
static bool signal_is_pending(const sigset_t *open)
{
	const uint64_t *blocked = (const uint64_t *)open;
	uint64_t pending = 0;

	syscall(SYS_rt_sigpending, &pending, sizeof pending);
	return (pending & ~*blocked) != 0;
}

enum ask_answer ask_wait(struct ask *ask, const sigset_t *open, int *ret_err)
{
	struct timespec slice = {0, SLICE_NS};
	enum ask_answer answer;

	while (atomic_load(&ask->state) != ASK_ANSWERED) {
		syscall(SYS_futex, &ask->state, FUTEX_WAIT_PRIVATE, ASK_WAITING, &slice, NULL, 0);
		if (signal_is_pending(open) && ask_move(ask, ASK_WAITING, ASK_WITHDRAWN))
			return ASK_AGAIN;
		if (slice.tv_nsec < SLICE_NS_MAX)
			slice.tv_nsec += SLICE_NS;
	}
	answer = ask->answer;
	*ret_err = ask->err;
	atomic_store(&ask->state, ASK_FREE);
	return answer;
}

/* ---- answering: on the loop ------------------------------------------------------------------ */

bool ask_is_withdrawn(const struct ask *ask)
{
	return atomic_load(&ask->state) == ASK_WITHDRAWN;
}

void ask_answer(struct ask *ask, enum ask_answer answer, int err)
{
	ask->answer = answer;
	ask->err = err;
	if (ask_move(ask, ASK_WAITING, ASK_ANSWERED))
		syscall(SYS_futex, &ask->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	else
		atomic_store(&ask->state, ASK_FREE);
}

/* What was asked first comes first. */
static uint32_t asks_reverse(uint32_t newest)
{
	uint32_t oldest = 0;

	while (newest != 0) {
		struct ask *ask = &table[newest - 1];
		uint32_t next = ask->next;

		ask->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

void asks_drain(struct asks *asks)
{
	uint32_t index = asks_reverse(atomic_exchange(&asks->newest, 0));

	while (index != 0) {
		struct ask *ask = &table[index - 1];

		index = ask->next;
		asks->asked(ask);
	}
}

static void asks_ready(struct loop_fd *fd, uint32_t events)
{
	uint64_t count;

	(void)events;
	/* EAGAIN: somebody has drained them since. */
	(void)!read(fd->fd, &count, sizeof count);
	asks_drain(container_of(fd, struct asks, bell));
}

int asks_open(struct asks *asks, struct loop *loop, void (*asked)(struct ask *ask))
{
	int err;

	*asks = (struct asks){
		.bell = {.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = asks_ready},
		.asked = asked,
	};
	err = asks->bell.fd < 0 ? -errno : loop_add_prompt(loop, &asks->bell, EPOLLIN);
	if (err < 0)
		asks_close(asks);
	return err;
}

void asks_close(struct asks *asks)
{
	close_fd(&asks->bell.fd);
	asks->bell.fd = -1;
}

void asks_forget(void)
{
	for (size_t i = 0; i < ASKS_MAX; i++)
		atomic_store(&table[i].state, ASK_FREE);
}
