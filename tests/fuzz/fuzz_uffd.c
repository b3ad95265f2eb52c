/*
 * fuzz_uffd.c - any order of what threads touch, what the application does with its addresses, what
 * the kernel refuses and what the source answers, through the real event, extent, map and fill
 * code. uffd_kernel.h says what is held against every fill.
 *
 * The first bytes choose the map, each further one what happens next. In the end each thread must
 * have been served: nobody waits where nothing is left that could happen, unless the kernel has
 * lied, and nothing is left when the map is gone.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "clock.h"
#include "input.h"
#include "log.h"
#include "map_private.h"
#include "memory_source.h"
#include "still_loop.h"
#include "uffd_kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define STEPS_MAX 400
#define PATIENCE 100000 /* events until all have been served */
#define WAITING_MAX 200
#define MAP_PAGES_MAX 400

static struct memory_object objects[1] = {{"o", 0, 1, false}};
static struct input input;
static struct pagein_object *object;
static struct pagein_map *map;
static struct loop *loop;
static uint64_t passed_ns; /* by pass_time() */

/* ---- what happens ------------------------------------------------------------------------- */

static size_t any_page(void)
{
	/* In and around the map, mostly. */
	return (space.place + input_u16(&input) % (2 * MAP_PAGES_MAX)) % SPACE_PAGES;
}

static void read_messages(void)
{
	if (space_is_readable())
		still_ready(loop, map->uffd.fd);
}

/* All that can be read has been, and whose event it was has gone on. */
static void catch_up(void)
{
	unsigned events = 0;

	while (space_is_readable() || space_resume()) {
		read_messages();
		space_resume();
		/* Who waits at what a lie has taken away asks for ever. */
		if (space.lies && events > 100)
			return;
		assert(++events < PATIENCE);
	}
}

static void touch(void)
{
	size_t page = any_page();
	unsigned count = 1 + input_byte(&input) % 8U;
	uint8_t thread = input_byte(&input);

	for (unsigned i = 0; i < count && page + i < SPACE_PAGES; i++)
		if (space_waiting() < WAITING_MAX)
			space_touch(page + i, thread);
}

static void touch_and_read(void)
{
	touch();
	read_messages();
}

/* As it comes from a signal handler: once more, and not by a message. */
static void touch_by_signal(void)
{
	size_t page;

	if (space_find_waiting(input_byte(&input), &page))
		map_fault_at(map, SPACE_START + page * SPACE_PAGE, 0);
}

static void touch_again(void)
{
	space_repeat(input_byte(&input));
}

static void source_answer(void)
{
	size_t waiting = memory_waiting();
	uint8_t which = input_byte(&input), how = input_byte(&input);
	uint64_t bytes = input_u16(&input) * 3U + 1;
	enum memory_answer answer = how < 160 ? MEMORY_WHOLE : how % MEMORY_ANSWERS;

	if (waiting == 0)
		return;
	if (answer == MEMORY_AGAIN || answer == MEMORY_FAILED)
		space.may_fail = true;
	memory_answer(which % waiting, answer, bytes);
}

static void source_changes(void)
{
	if (input_byte(&input) != 99)
		return;
	objects[0].gone = true;
	space.may_fail = true;
}

static void unmap_part(void)
{
	size_t page = any_page();

	space_unmap(page, input_byte(&input) % 64U);
}

static void drop_part(void)
{
	size_t page = any_page();

	space_drop(page, input_byte(&input) % 64U);
}

static void move_part(void)
{
	size_t from = any_page(), to = any_page();
	uint8_t count = input_byte(&input);

	space_move(from, count & 63U, to, count & 128);
}

/*
 * What has grown is touched at once: what nobody has seen, before more happens to it, is told apart
 * from what was there before by guesses (extent.c says which).
 */
static void grow(void)
{
	size_t page = any_page(), count = 1 + input_byte(&input) % 16U;

	catch_up();
	if (!space_grow(page, count))
		return;
	space_touch(page + count - 1, 1);
	read_messages();
}

static void map_other(void)
{
	size_t page = any_page();

	space_map_other(page, input_byte(&input) % 16U);
}

static void resume(void)
{
	space_resume();
}

static void refuse_fills(void)
{
	static const int errs[] = {-EAGAIN, -ENOMEM, -EAGAIN, -ENOMEM};
	uint8_t how = input_byte(&input);

	space.refusals = how & 7;
	space.refusal_err = errs[how >> 6];
}

static void pass_time(void)
{
	static const uint64_t times_ns[] = {
		NS_PER_US, 50 * NS_PER_US, NS_PER_MS, 100 * NS_PER_MS, NS_PER_S, 6 * NS_PER_S};
	uint64_t ns = times_ns[input_byte(&input) % (sizeof times_ns / sizeof *times_ns)];

	/* What is asked for is given up after some seconds, however they have passed. */
	passed_ns += ns;
	space.may_fail |= passed_ns > 5 * NS_PER_S;
	still_pass(loop, ns);
}

static void advise(void)
{
	static const int advices[] = {
		PAGEIN_NORMAL, PAGEIN_SEQUENTIAL, PAGEIN_RANDOM, PAGEIN_WILLNEED};
	size_t offset = input_u16(&input) * 16U, length = input_u16(&input) * 16U;
	uint8_t advice = input_byte(&input);

	(void)pagein_advise(map, offset, length, advices[advice % 4]);
}

static void ask_error(void)
{
	struct pagein_error error;
	uint64_t address = SPACE_START + any_page() * SPACE_PAGE + input_byte(&input);

	if (pagein_error(map, (void *)address, &error) == 0 && error.error != 0)
		assert(error.message[0]);
}

/* What no kernel says, of the addresses that there are: who maps others' is believed to. */
static void lie(void)
{
	static const uint8_t kinds[] = {
		UFFD_EVENT_PAGEFAULT, UFFD_EVENT_REMAP, UFFD_EVENT_REMOVE, UFFD_EVENT_UNMAP};
	uint8_t kind = input_byte(&input);
	size_t first = any_page(), second = any_page();
	struct uffd_msg message = {.event = kind < 128 ? kinds[kind % 4] : kind};
	uint64_t length = (input_byte(&input) % (SPACE_PAGES - second)) * SPACE_PAGE;

	message.arg.remap.from = SPACE_START + first * SPACE_PAGE;
	message.arg.remap.to = SPACE_START + second * SPACE_PAGE;
	if (message.event == UFFD_EVENT_PAGEFAULT) {
		message.arg.pagefault.flags = kind & 64 ? UFFD_PAGEFAULT_FLAG_WRITE : 0;
		message.arg.pagefault.address = SPACE_START + second * SPACE_PAGE + first;
		message.arg.pagefault.feat.ptid = kind;
	} else if (message.event == UFFD_EVENT_REMAP) {
		message.arg.remap.len = length;
	} else {
		message.arg.remove.end = message.arg.remove.start + length;
	}
	space_lie(&message);
}

static void (*const steps[])(void) = {touch_and_read, source_answer, touch, read_messages,
	touch_and_read, source_answer, touch, read_messages, touch_again, touch_by_signal,
	unmap_part, drop_part, move_part, grow, map_other, resume, resume, refuse_fills, pass_time,
	advise, ask_error, source_changes};

/* ---- waiting ------------------------------------------------------------------------------ */

/* Something goes on; false: nothing is left that could. */
static bool go_on(void)
{
	bool resumed = space_resume();

	if (map && space_is_readable()) {
		read_messages();
		return true;
	}
	if (resumed)
		return true;
	if (memory_waiting() > 0) {
		memory_answer(0, MEMORY_WHOLE, 0);
		return true;
	}
	return still_next(loop);
}

int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

/* pagein_open() waits for its loop, which is this thread. */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	bool any;

	(void)condition;
	pthread_mutex_unlock(mutex);
	any = go_on();
	pthread_mutex_lock(mutex);
	assert(any);
	return 0;
}

static void settle(void)
{
	unsigned events = 0;

	space.refusals = 0;
	while (space_waiting() > 0 || space_is_readable()) {
		assert(go_on());
		assert(++events < PATIENCE);
	}
}

/* ---- a map's life ------------------------------------------------------------------------- */

static void space_begin(uint8_t how)
{
	space_reset();
	passed_ns = 0;
	objects[0].size = input_u16(&input) * 23U + (how & 1);
	objects[0].gone = false;
	memory_store = (struct memory_store){.objects = objects, .count = 1, .page_names = 1};
	memory_store.probes_bring = how & 2;
	space.object_size = objects[0].size;
	space.object_seed = objects[0].seed;
	space.has_poison = !(how & 4);
	space.place = 100 + (how & 8);
}

static void check_trace(struct range range, const struct fault_stages *stages, void *context)
{
	(void)context;
	assert(!range_empty(range));
	for (int i = STAGE_CONNECT; i <= STAGE_FILL; i++)
		assert(stages->end_ns[i - 1] <= stages->end_ns[i] || stages->end_ns[i] == 0);
}

static void map_begin(uint8_t how)
{
	struct pagein_options options = PAGEIN_OPTIONS_INIT;
	size_t length = (1 + input_u16(&input) % MAP_PAGES_MAX) * SPACE_PAGE - (how & 1);
	int err;

	options.cache_bytes = how & 16 ? 1 << 20 : 0;
	options.memory = how & 32 ? 1 << 20 : PAGEIN_NO_LIMIT;
	options.attempts = 2;
	err = pagein_open(MEMORY_URL "o", &options, &object);
	assert(err == 0);
	loop = context_loop(object->context);
	space.offset = input_byte(&input) * SPACE_PAGE;
	space.offset = space.offset > space.object_size ? 0 : space.offset;
	space.makes_map = true;
	err = pagein_map(object, space.offset, length, how & 64 ? PAGEIN_WAIT : 0, &map);
	assert(err == 0);
	if (how & 128)
		map_set_trace(map, check_trace, NULL);
}

/* Whose events nobody has read would be about a map that is not there. */
static void map_finish(void)
{
	space.refusals = 0;
	catch_up();
	pagein_unmap(map);
	map = NULL;
}

static void check_left(void)
{
	struct pagein_stats stats = {0};

	pagein_stats(NULL, &stats);
	assert(stats.maps == 0 && stats.objects == 0 && stats.transfers == 0);
	assert(stats.resident_bytes == 0 && stats.cached_bytes == 0 && stats.pinned_bytes == 0);
	assert(memory_waiting() == 0 && memory_store.pinned == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	uint8_t how;

	log_set_level(LOG_ERROR);
	input = (struct input){bytes, len};
	how = input_byte(&input);
	still_clock_reset();
	space_begin(how);
	map_begin(how);
	for (unsigned i = 0; i < STEPS_MAX && input.left > 0; i++) {
		uint8_t step = input_byte(&input);

		if (step >= 250)
			lie();
		else
			steps[step % (sizeof steps / sizeof *steps)]();
	}
	if (!space.lies && input_byte(&input) == 0)
		settle();
	map_finish();
	pagein_close(object);
	check_left();
	return 0;
}
