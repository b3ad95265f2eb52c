/*
 * trace.c - see trace.h.
 *
 * Each core has a ring, which its loop writes and one thread of the process reads, so that a loop
 * never waits for a disk, and needs no lock: `head` is the loop's, `tail` the thread's. A ring that
 * is full loses accesses, and the trace says how many.
 *
 *   loop:    events[head % RING] = access, then head + 1
 *   writer:  ten times a second: events[tail % RING] -> FILE, then tail + 1
 *
 * The writer is the only thing here that wakes up by itself, and only while there is a trace. It
 * drains the rings once more when the process exits, so that a program need not close its maps.
 * `lock` guards the list of rings and the file, is held while lines are written, and never by a
 * loop but when an object or a core comes or goes.
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "list.h"
#include "log.h"
#include "object_private.h"
#include "url.h"

#define VARIABLE "PAGEIN_TRACE"
#define RING 65536         /* accesses: at 40,000 a second, a loop's most, 1.6 s */
#define LINE_MAX_BYTES 256 /* a URL is told in URL_TOLD_MAX */
#define PAUSE_NS ((long)(100 * NS_PER_MS))

struct trace_event {
	uint64_t offset, length, time_ns;
	int32_t thread;
	uint32_t object;
};

struct trace_ring {
	struct list node;
	unsigned generation; /* of the process that it is of */
	_Atomic uint64_t head, tail, lost;
	uint64_t lost_told;
	struct trace_event events[RING];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool is_on;
	int fd;
	struct list rings;
	unsigned generation; /* goes up in a child of fork(2) */
	pthread_t writer;
	bool ends;
	uint64_t start_ns;
	uint32_t objects;
	size_t used;
	char text[65536]; /* not stdio's, which a child would write once more when it exits */
} trace = {.lock = PTHREAD_MUTEX_INITIALIZER, .ended = PTHREAD_COND_INITIALIZER};

/* ---- writing: with the lock ---------------------------------------------------------------- */

/* A disk that is full costs the trace, not the program: it is told once. */
static void flush(void)
{
	static bool told;
	size_t done = 0;

	while (done < trace.used) {
		ssize_t n = write(trace.fd, trace.text + done, trace.used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (!told)
				log_warning("%s: write: %s", VARIABLE, strerrordesc_np(errno));
			told = true;
			break;
		}
		done += (size_t)n;
	}
	trace.used = 0;
}

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
	va_list arguments;

	if (sizeof trace.text - trace.used < LINE_MAX_BYTES)
		flush();
	va_start(arguments, format);
	trace.used += (size_t)vsnprintf(trace.text + trace.used, LINE_MAX_BYTES, format, arguments);
	va_end(arguments);
}

static void ring_drain(struct trace_ring *ring)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint64_t lost = atomic_load_explicit(&ring->lost, memory_order_relaxed);

	for (; tail < head; tail++) {
		const struct trace_event *event = &ring->events[tail % RING];

		put("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId32 " %" PRIu32 "\n", event->offset,
			event->length, (event->time_ns - trace.start_ns) / NS_PER_US, event->thread,
			event->object);
	}
	atomic_store_explicit(&ring->tail, tail, memory_order_release);
	if (lost > ring->lost_told)
		put("# lost %" PRIu64 ": they came faster than they were written\n",
			lost - ring->lost_told);
	ring->lost_told = lost;
}

static void drain_all(void)
{
	for (struct list *at = trace.rings.next; at != &trace.rings; at = at->next)
		ring_drain(container_of(at, struct trace_ring, node));
	flush();
}

static void *writer_run(void *argument)
{
	pthread_mutex_lock(&trace.lock);
	do {
		uint64_t until_ns = clock_now_ns() + PAUSE_NS;
		const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
			.tv_nsec = (long)(until_ns % NS_PER_S)};

		pthread_cond_clockwait(&trace.ended, &trace.lock, CLOCK_MONOTONIC, &until);
		drain_all();
	} while (!trace.ends);
	pthread_mutex_unlock(&trace.lock);
	return argument;
}

/* ---- beginning and end --------------------------------------------------------------------- */

/* Never over what is there. */
static int create_file(const char *name)
{
	char own[4096];
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST) {
		snprintf(own, sizeof own, "%s.%ld", name, (long)getpid());
		fd = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	return fd;
}

/* Signals are the application's. */
static int start_writer(void)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&trace.writer, NULL, writer_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

/* The thread is the parent's, and its locks may be held by it for ever. */
static void forget_in_child(void)
{
	pthread_mutex_init(&trace.lock, NULL);
	pthread_cond_init(&trace.ended, NULL);
	if (trace.is_on)
		close(trace.fd);
	trace.is_on = false;
	trace.used = 0;
	trace.generation++;
}

static void trace_begin(const char *name)
{
	static bool knows_children;

	trace.fd = create_file(name);
	if (trace.fd < 0) {
		log_warning("%s: %s: %s", VARIABLE, name, strerrordesc_np(errno));
		return;
	}
	list_init(&trace.rings);
	trace.start_ns = clock_now_ns();
	trace.objects = 0;
	if (!knows_children)
		knows_children = pthread_atfork(NULL, NULL, forget_in_child) == 0;
	trace.is_on = start_writer() == 0;
	if (!trace.is_on)
		close(trace.fd);
}

/* The process exits, or unloads the library: what is in the rings still counts. */
__attribute__((destructor)) static void trace_end(void)
{
	bool was_on;

	pthread_mutex_lock(&trace.lock);
	was_on = trace.is_on;
	trace.ends = true;
	pthread_cond_signal(&trace.ended);
	pthread_mutex_unlock(&trace.lock);
	if (was_on)
		pthread_join(trace.writer, NULL);
}

struct trace_ring *trace_join(void)
{
	const char *name = secure_getenv(VARIABLE);
	struct trace_ring *ring;

	if (!name || !*name)
		return NULL;
	ring = calloc(1, sizeof *ring);
	if (!ring)
		return NULL;
	pthread_mutex_lock(&trace.lock);
	if (!trace.is_on)
		trace_begin(name);
	if (trace.is_on) {
		ring->generation = trace.generation;
		list_append(&trace.rings, &ring->node);
	} else {
		free(ring);
		ring = NULL;
	}
	pthread_mutex_unlock(&trace.lock);
	return ring;
}

void trace_leave(struct trace_ring *ring)
{
	if (!ring)
		return;
	pthread_mutex_lock(&trace.lock);
	/* A child has the rings of its parent, whose they stay. */
	if (trace.is_on && ring->generation == trace.generation) {
		ring_drain(ring);
		flush();
		list_remove(&ring->node);
	}
	pthread_mutex_unlock(&trace.lock);
	free(ring);
}

/* ---- what is traced ------------------------------------------------------------------------ */

uint32_t trace_object(const char *url, uint64_t size)
{
	uint32_t number = 0;

	pthread_mutex_lock(&trace.lock);
	if (trace.is_on) {
		number = trace.objects++;
		put("# object %" PRIu32 " %" PRIu64 " %s\n", number, size, url_tell(url).text);
	}
	pthread_mutex_unlock(&trace.lock);
	return number;
}

void trace_access(struct object *object, struct range range, int32_t thread)
{
	struct trace_ring *ring = object->core->trace;
	uint64_t head;

	if (!ring)
		return;
	head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == RING) {
		atomic_fetch_add_explicit(&ring->lost, 1, memory_order_relaxed);
		return;
	}
	ring->events[head % RING] = (struct trace_event){
		range.start, range_length(range), clock_now_ns(), thread, object->trace_number};
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}
