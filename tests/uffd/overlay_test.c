/*
 * overlay_test.c - PAGEIN_PRIVATE: what is written stays, which pages that were is known exactly,
 * and everything else is the object's.
 *
 * Each test runs twice: told of each first write to a page, as on a kernel before 6.7, and untold.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "map_private.h"

#define SIZE (100 * PAGE + 5)
#define PAGES (SIZE / PAGE + 1)

static bool told = true, untold = false;

/* The map, and what it ought to show. */
struct fixture {
	struct session session;
	uint8_t *bytes;
	uint8_t *model; /* PAGES whole pages */
	bool dirty[PAGES];
};

static struct pagein_map *map_private(struct pagein_object *object, bool told_of_writes)
{
	struct pagein_map *map;

	overlay_allow_async(!told_of_writes);
	if (pagein_map(object, 0, 0, PAGEIN_PRIVATE, &map) < 0)
		fail_msg("%s", pagein_last_error());
	overlay_allow_async(true);
	return map;
}

static bool kernel_tells_always(void)
{
	struct uffd_access access;

	uffd_probe(&access);
	return !(access.features & UFFD_FEATURE_WP_ASYNC);
}

static void open_options(
	struct fixture *fixture, void **state, const struct pagein_options *options)
{
	bool told_of_writes = *(bool *)*state;

	if (!told_of_writes && kernel_tells_always())
		skip_because("the kernel has no UFFD_FEATURE_WP_ASYNC (6.7)");
	*fixture = (struct fixture){0};
	session_start_server(&fixture->session, SIZE);
	session_open_object(&fixture->session, options);
	fixture->session.map = map_private(fixture->session.object, told_of_writes);
	assert_true(overlay_is_async(fixture->session.map) == !told_of_writes);
	fixture->session.bytes = fixture->bytes = pagein_address(fixture->session.map);
	fixture->model = calloc(PAGES, PAGE);
	memcpy(fixture->model, fixture->session.local.bytes, SIZE);
}

static void open_fixture(struct fixture *fixture, void **state)
{
	open_options(fixture, state, NULL);
	assert_int_equal(pagein_advise(fixture->session.map, 0, 0, PAGEIN_RANDOM), 0);
}

static void close_fixture(struct fixture *fixture)
{
	session_close(&fixture->session);
	free(fixture->model);
}

/* Some bytes of the page, other ones each time. */
static void write_page(struct fixture *fixture, size_t page)
{
	static uint8_t value;
	size_t at = page * PAGE + (page * 37 + 11) % (PAGE - 16);

	memset(fixture->bytes + at, ++value, 16);
	memset(fixture->model + at, value, 16);
	fixture->dirty[page] = true;
}

static void forget_page(struct fixture *fixture, size_t page)
{
	size_t at = page * PAGE, length = SIZE - at < PAGE ? SIZE - at : PAGE;

	memcpy(fixture->model + at, fixture->session.local.bytes + at, length);
	fixture->dirty[page] = false;
}

static void check_page(const struct fixture *fixture, size_t page)
{
	assert_int_equal(
		touch_compare(fixture->bytes + page * PAGE, fixture->model + page * PAGE, PAGE), 0);
}

/* The first page that is not told as it ought to be; PAGES: none. */
static size_t find_wrongly_told(const struct fixture *fixture)
{
	struct pagein_range ranges[PAGES];
	bool dirty[PAGES] = {false};
	int count = pagein_dirty(fixture->session.map, 0, 0, ranges, PAGES);

	for (int i = 0; i < count; i++) {
		size_t end = (ranges[i].offset + ranges[i].length) / PAGE;

		/* In order, whole pages, and joined. */
		if (ranges[i].length == 0 || ranges[i].offset % PAGE || ranges[i].length % PAGE)
			return 0;
		if (i > 0 && ranges[i - 1].offset + ranges[i - 1].length >= ranges[i].offset)
			return 0;
		for (size_t page = ranges[i].offset / PAGE; page < end; page++)
			dirty[page] = true;
	}
	for (size_t page = 0; page < PAGES; page++)
		if (count < 0 || dirty[page] != fixture->dirty[page])
			return page;
	return PAGES;
}

static void check_dirty(const struct fixture *fixture)
{
	size_t wrong = find_wrongly_told(fixture);

	if (wrong < PAGES)
		fail_msg("page %zu is told %s; %s", wrong,
			fixture->dirty[wrong] ? "clean" : "dirty", pagein_last_error());
}

static void check_all(const struct fixture *fixture)
{
	check_dirty(fixture);
	for (size_t page = 0; page < PAGES; page++)
		check_page(fixture, page);
	check_dirty(fixture);
}

/* ---- writing ------------------------------------------------------------------------------- */

static void what_is_written_stays_and_the_rest_is_the_objects(void **state)
{
	struct fixture fixture;
	struct pagein_map *other;

	open_fixture(&fixture, state);
	check_dirty(&fixture);
	/* The first write is the first touch of some, and comes after a read of others. */
	for (size_t page = 0; page < PAGES; page += 2)
		check_page(&fixture, page);
	check_dirty(&fixture);
	for (size_t page = 0; page < PAGES; page += 3)
		write_page(&fixture, page);
	write_page(&fixture, 4);
	check_all(&fixture);
	write_page(&fixture, 5);
	write_page(&fixture, 6);
	check_all(&fixture);
	/* It is nobody else's. */
	other = map_private(fixture.session.object, *(bool *)*state);
	assert_int_equal(
		touch_compare(pagein_address(other), fixture.session.local.bytes, SIZE), 0);
	assert_int_equal(pagein_dirty(other, 0, 0, NULL, 0), 0);
	pagein_unmap(other);
	close_fixture(&fixture);
}

static void a_first_touch_that_writes_is_one_fault(void **state)
{
	struct fixture fixture;

	open_fixture(&fixture, state);
	for (size_t page = 10; page < 20; page += 2)
		write_page(&fixture, page);
	assert_true(map_stats(fixture.session.map).faults == 5);
	check_page(&fixture, 30);
	assert_true(map_stats(fixture.session.map).faults == 6);
	write_page(&fixture, 30);
	write_page(&fixture, 30);
	assert_true(map_stats(fixture.session.map).faults == (*(bool *)*state ? 7 : 6));
	check_dirty(&fixture);
	close_fixture(&fixture);
}

/* A page that is cached is filled on another way. */
static void a_cached_page_that_is_written_first_is_one_fault(void **state)
{
	const struct pagein_options options = {
		.size = sizeof options, .timeout_ms = 2000, .cache_bytes = 8 << 20};
	struct fixture fixture;
	uint64_t faults;

	open_options(&fixture, state, &options);
	assert_int_equal(pagein_populate(fixture.session.map, 0, 0, -1), 0);
	assert_int_equal(pagein_discard(fixture.session.map, 0, 0), 0);
	faults = map_stats(fixture.session.map).faults;
	assert_int_equal(pagein_advise(fixture.session.map, 0, 0, PAGEIN_RANDOM), 0);
	for (size_t page = 10; page < 20; page += 2)
		write_page(&fixture, page);
	assert_true(map_stats(fixture.session.map).faults == faults + 5);
	check_all(&fixture);
	close_fixture(&fixture);
}

static void the_last_page_may_be_written_behind_the_end(void **state)
{
	struct fixture fixture;

	open_fixture(&fixture, state);
	check_page(&fixture, PAGES - 1);
	check_dirty(&fixture);
	memset(fixture.bytes + SIZE, 1, PAGES * PAGE - SIZE);
	memset(fixture.model + SIZE, 1, PAGES * PAGE - SIZE);
	fixture.dirty[PAGES - 1] = true;
	check_all(&fixture);
	close_fixture(&fixture);
}

/* ---- which are dirty ------------------------------------------------------------------------ */

static void dirty_counts_what_has_no_room(void **state)
{
	struct pagein_range ranges[3] = {{1, 1}, {1, 1}, {1, 1}};
	struct fixture fixture;

	open_fixture(&fixture, state);
	for (size_t page = 60; page < 64; page++)
		write_page(&fixture, page);
	write_page(&fixture, 64); /* the next block: one range with those before it */
	write_page(&fixture, 10);
	write_page(&fixture, PAGES - 1);
	assert_int_equal(pagein_dirty(fixture.session.map, 0, 0, NULL, 0), 3);
	assert_int_equal(pagein_dirty(fixture.session.map, 0, 0, ranges, 2), 3);
	assert_true(ranges[0].offset == 10 * PAGE && ranges[0].length == PAGE);
	assert_true(ranges[1].offset == 60 * PAGE && ranges[1].length == 5 * PAGE);
	assert_true(ranges[2].offset == 1 && ranges[2].length == 1);
	/* The pages that the range overlaps, and no other. */
	assert_int_equal(pagein_dirty(fixture.session.map, 61 * PAGE + 5, PAGE, ranges, 3), 1);
	assert_true(ranges[0].offset == 61 * PAGE && ranges[0].length == 2 * PAGE);
	assert_int_equal(pagein_dirty(fixture.session.map, 11 * PAGE, 40 * PAGE, ranges, 3), 0);
	close_fixture(&fixture);
}

static void the_calls_refuse_what_is_no_overlay(void **state)
{
	struct pagein_map *map;
	struct fixture fixture;

	open_fixture(&fixture, state);
	assert_int_equal(pagein_map(fixture.session.object, 0, 0, 0, &map), 0);
	assert_int_equal(pagein_dirty(map, 0, 0, NULL, 0), -EINVAL);
	assert_non_null(strstr(pagein_last_error(), "PAGEIN_PRIVATE"));
	assert_int_equal(pagein_discard(map, 0, 0), -EINVAL);
	assert_int_equal(pagein_dirty(fixture.session.map, SIZE, 1, NULL, 0), -EINVAL);
	assert_int_equal(pagein_discard(fixture.session.map, SIZE + 1, 0), -EINVAL);
	pagein_unmap(map);
	close_fixture(&fixture);
}

struct mask_call {
	struct pagein_map *map;
	uint64_t first, second;
};

static void ask_masks(void *context)
{
	struct mask_call *call = context;

	call->first = map_dirty_mask(call->map, map_find_block(call->map, 0));
	call->second = map_dirty_mask(call->map, map_find_block(call->map, 1));
}

/* What may be evicted is known without asking the kernel. */
static void the_loop_knows_what_it_must_not_evict(void **state)
{
	struct mask_call call = {0};
	struct fixture fixture;

	open_fixture(&fixture, state);
	call.map = fixture.session.map;
	assert_int_equal(pagein_populate(fixture.session.map, 0, 0, -1), 0);
	write_page(&fixture, 3);
	write_page(&fixture, 63);
	write_page(&fixture, 66);
	loop_call(context_loop(fixture.session.object->context), ask_masks, &call);
	if (*(bool *)*state) {
		assert_true(call.first == ((UINT64_C(1) << 3) | (UINT64_C(1) << 63)));
		assert_true(call.second == UINT64_C(1) << 2);
	} else {
		assert_true(~call.first == 0 && ~call.second == 0);
	}
	close_fixture(&fixture);
}

/* ---- dropping ------------------------------------------------------------------------------- */

static void discarded_pages_are_the_objects_again(void **state)
{
	struct fixture fixture;

	open_fixture(&fixture, state);
	for (size_t page = 20; page < 40; page++)
		write_page(&fixture, page);
	assert_int_equal(pagein_discard(fixture.session.map, 25 * PAGE, 5 * PAGE), 0);
	for (size_t page = 25; page < 30; page++)
		forget_page(&fixture, page);
	check_all(&fixture);
	write_page(&fixture, 27);
	check_all(&fixture);
	assert_int_equal(pagein_discard(fixture.session.map, 0, 0), 0);
	for (size_t page = 0; page < PAGES; page++)
		forget_page(&fixture, page);
	check_all(&fixture);
	close_fixture(&fixture);
}

static void advice_drops_clean_pages_only(void **state)
{
	uint64_t resident = PAGES * PAGE;
	struct fixture fixture;

	open_fixture(&fixture, state);
	assert_int_equal(pagein_populate(fixture.session.map, 0, 0, -1), 0);
	for (size_t page = 0; page < PAGES; page += 7)
		write_page(&fixture, page);
	assert_int_equal(
		pagein_advise(fixture.session.map, 10 * PAGE, 50 * PAGE, PAGEIN_DONTNEED), 0);
	/* Untold, it can't know what is clean without a race. */
	if (*(bool *)*state)
		resident -= (50 - 7) * PAGE;
	assert_true(map_stats(fixture.session.map).resident_bytes == resident);
	check_all(&fixture);
	close_fixture(&fixture);
}

static void madvise_drops_all_and_they_are_clean(void **state)
{
	struct fixture fixture;

	open_fixture(&fixture, state);
	for (size_t page = 20; page < 40; page++)
		write_page(&fixture, page);
	assert_int_equal(madvise(fixture.bytes + 20 * PAGE, 10 * PAGE, MADV_DONTNEED), 0);
	for (size_t page = 20; page < 30; page++)
		forget_page(&fixture, page);
	check_all(&fixture);
	write_page(&fixture, 22);
	check_all(&fixture);
	close_fixture(&fixture);
}

/* ---- what else is done to memory ------------------------------------------------------------- */

static void *place_for(size_t length)
{
	return mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void dirty_pages_move(void **state)
{
	struct fixture fixture;
	uint8_t *place = place_for(PAGES * PAGE);

	open_fixture(&fixture, state);
	for (size_t page = 0; page < PAGES; page += 3)
		write_page(&fixture, page);
	for (size_t page = 1; page < 30; page++)
		check_page(&fixture, page);
	assert_ptr_equal(mremap(fixture.bytes, PAGES * PAGE, PAGES * PAGE,
				 MREMAP_MAYMOVE | MREMAP_FIXED, place),
		place);
	fixture.bytes = place;
	check_dirty(&fixture);
	for (size_t page = 1; page < PAGES; page += 6)
		write_page(&fixture, page);
	check_all(&fixture);
	close_fixture(&fixture);
}

/* In pieces, which then lie in another order. */
static void dirty_pages_move_in_pieces(void **state)
{
	const size_t half = 50 * PAGE;
	struct fixture fixture;
	uint8_t *place = place_for(PAGES * PAGE), *back;

	open_fixture(&fixture, state);
	for (size_t page = 0; page < PAGES; page += 3)
		write_page(&fixture, page);
	back = place + PAGES * PAGE - half;
	/* The first half behind the second one. */
	assert_ptr_equal(
		mremap(fixture.bytes, half, half, MREMAP_MAYMOVE | MREMAP_FIXED, back), back);
	assert_ptr_equal(mremap(fixture.bytes + half, PAGES * PAGE - half, PAGES * PAGE - half,
				 MREMAP_MAYMOVE | MREMAP_FIXED, place),
		place);
	check_dirty(&fixture);
	assert_int_equal(touch_compare(back, fixture.model, half), 0);
	assert_int_equal(touch_compare(place, fixture.model + half, PAGES * PAGE - half), 0);
	check_dirty(&fixture);
	assert_int_equal(pagein_discard(fixture.session.map, 0, 0), 0);
	assert_int_equal(pagein_dirty(fixture.session.map, 0, 0, NULL, 0), 0);
	assert_int_equal(touch_compare(back, fixture.session.local.bytes, half), 0);
	close_fixture(&fixture);
}

/* MREMAP_DONTUNMAP: what was written is at the new place, the old one shows the object's bytes. */
static void a_page_at_two_places_is_dirty_if_it_is_at_one(void **state)
{
	const size_t length = 20 * PAGE;
	struct fixture fixture;
	uint8_t *moved;

	open_fixture(&fixture, state);
	for (size_t page = 0; page < 20; page += 2)
		write_page(&fixture, page);
	moved = mremap(fixture.bytes, length, length, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	assert_ptr_not_equal(moved, MAP_FAILED);
	check_dirty(&fixture);
	assert_int_equal(touch_compare(fixture.bytes, fixture.session.local.bytes, length), 0);
	assert_int_equal(touch_compare(moved, fixture.model, length), 0);
	check_dirty(&fixture);
	/* Advice keeps both: the loop can't tell at which of them it is. */
	assert_int_equal(pagein_advise(fixture.session.map, 0, length, PAGEIN_DONTNEED), 0);
	assert_int_equal(touch_compare(moved, fixture.model, length), 0);
	fixture.bytes[PAGE] ^= 1;
	fixture.dirty[1] = true;
	check_dirty(&fixture);
	assert_int_equal(touch_compare(moved, fixture.model, length), 0);
	assert_int_equal(munmap(moved, length), 0);
	for (size_t page = 0; page < 20; page++)
		fixture.dirty[page] = page == 1;
	check_dirty(&fixture);
	close_fixture(&fixture);
}

static void dirty_pages_bear_mprotect_and_a_cut(void **state)
{
	struct fixture fixture;

	open_fixture(&fixture, state);
	for (size_t page = 0; page < PAGES; page += 3)
		write_page(&fixture, page);
	for (size_t page = 1; page < PAGES; page += 3)
		check_page(&fixture, page);
	assert_int_equal(mprotect(fixture.bytes + 10 * PAGE, 30 * PAGE, PROT_READ), 0);
	check_all(&fixture);
	assert_int_equal(touch_write(fixture.bytes + 12 * PAGE, "", 1), SIGSEGV);
	assert_int_equal(touch_write(fixture.bytes + 13 * PAGE, "", 1), SIGSEGV);
	assert_int_equal(mprotect(fixture.bytes + 10 * PAGE, 30 * PAGE, PROT_READ | PROT_WRITE), 0);
	check_dirty(&fixture);
	write_page(&fixture, 13);
	write_page(&fixture, 14);
	check_all(&fixture);
	/* What is unmapped is told no more, and the rest as before. */
	assert_int_equal(munmap(fixture.bytes + 20 * PAGE, 11 * PAGE), 0);
	for (size_t page = 20; page < 31; page++)
		fixture.dirty[page] = false;
	check_dirty(&fixture);
	assert_int_equal(pagein_advise(fixture.session.map, 0, 0, PAGEIN_DONTNEED), 0);
	for (size_t page = 0; page < PAGES; page++)
		if (page < 20 || page > 30)
			check_page(&fixture, page);
	check_dirty(&fixture);
	close_fixture(&fixture);
}

/* The kernel touches what it locks as a writer does. */
static void locked_pages_are_dirty(void **state)
{
	struct fixture fixture;

	open_fixture(&fixture, state);
	check_page(&fixture, 11);
	write_page(&fixture, 12);
	/* Not by mlock(), which AddressSanitizer makes a call that does nothing. */
	if (syscall(SYS_mlock, fixture.bytes + 10 * PAGE, 4 * PAGE) != 0) {
		close_fixture(&fixture);
		skip_because("mlock: %s", strerror(errno));
	}
	for (size_t page = 10; page < 14; page++)
		fixture.dirty[page] = true;
	check_all(&fixture);
	/* The kernel drops no locked page. */
	assert_int_equal(pagein_discard(fixture.session.map, 12 * PAGE, PAGE), -EINVAL);
	assert_int_equal(syscall(SYS_munlock, fixture.bytes + 10 * PAGE, 4 * PAGE), 0);
	assert_int_equal(pagein_discard(fixture.session.map, 12 * PAGE, PAGE), 0);
	forget_page(&fixture, 12);
	check_all(&fixture);
	close_fixture(&fixture);
}

/* Told by its status: an assertion that fails in a child jumps into the parent's test. */
static int use_in_child(void *context)
{
	struct fixture *fixture = context;

	if (find_wrongly_told(fixture) < PAGES)
		return 1;
	if (touch_compare(fixture->bytes, fixture->model, PAGES * PAGE) != 0)
		return 2;
	for (size_t page = 0; page < PAGES; page += 5)
		write_page(fixture, page);
	if (find_wrongly_told(fixture) < PAGES)
		return 3;
	if (pagein_advise(fixture->session.map, 0, 0, PAGEIN_DONTNEED) != 0 ||
		touch_compare(fixture->bytes, fixture->model, PAGES * PAGE) != 0)
		return 4;
	if (pagein_discard(fixture->session.map, 0, 0) != 0 ||
		touch_compare(fixture->bytes, fixture->session.local.bytes, SIZE) != 0)
		return 5;
	return 0;
}

static void a_child_has_its_own_overlay_with_the_same_dirty_pages(void **state)
{
	struct fixture fixture, copy;

	open_fixture(&fixture, state);
	for (size_t page = 0; page < PAGES; page += 4)
		check_page(&fixture, page);
	for (size_t page = 0; page < PAGES; page += 6)
		write_page(&fixture, page);
	for (int i = 0; i < 2; i++) {
		copy = fixture;
		assert_int_equal(run_in_child(use_in_child, &copy), 0);
		check_dirty(&fixture);
		/* The parent's is as it was, and goes on. */
		assert_int_equal(pagein_discard(fixture.session.map, 12 * PAGE, PAGE), 0);
		forget_page(&fixture, 12);
		write_page(&fixture, 33);
	}
	check_all(&fixture);
	close_fixture(&fixture);
}

/* Its calls are the parent's to answer. */
static int write_in_child(void *context)
{
	struct fixture *fixture = context;

	if (touch_compare(fixture->bytes, fixture->model, PAGES * PAGE) != 0)
		return 1;
	for (size_t page = 0; page < PAGES; page += 5)
		write_page(fixture, page);
	return touch_compare(fixture->bytes, fixture->model, PAGES * PAGE) != 0 ? 2 : 0;
}

static void a_child_whose_parent_serves_it_writes_for_itself(void **state)
{
	const struct pagein_options options = {
		.size = sizeof options, .timeout_ms = 2000, .fork = PAGEIN_FORK_SERVE};
	struct fixture fixture, copy;

	open_options(&fixture, state, &options);
	for (size_t page = 0; page < PAGES; page += 6)
		write_page(&fixture, page);
	copy = fixture;
	copy.model = malloc(PAGES * PAGE);
	memcpy(copy.model, fixture.model, PAGES * PAGE);
	assert_int_equal(run_in_child(write_in_child, &copy), 0);
	check_all(&fixture);
	free(copy.model);
	close_fixture(&fixture);
}

struct holder {
	struct loop_task task;
	sem_t held;
};

/* On the loop, so that it reads the write's message and madvise's event together. */
static void wait_for_both(struct loop_task *task)
{
	sem_post(&container_of(task, struct holder, task)->held);
	for (int ms = 0; ms < 10000 && count_pending_faults() < 1; ms++)
		usleep(1000);
	usleep(5000);
}

static void *write_in_thread(void *context)
{
	struct fixture *fixture = context;

	write_page(fixture, 7);
	return NULL;
}

static void *drop_in_thread(void *context)
{
	struct fixture *fixture = context;

	madvise(fixture->bytes + 50 * PAGE, PAGE, MADV_DONTNEED);
	return NULL;
}

/* The kernel refuses to end write protection then, as it refuses fills. */
static void a_write_may_come_while_the_address_space_changes(void **state)
{
	struct holder holder = {.task.run = wait_for_both};
	pthread_t writer, dropper;
	struct fixture fixture;

	open_fixture(&fixture, state);
	sem_init(&holder.held, 0, 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(pagein_discard(fixture.session.map, 0, 0), 0);
		assert_int_equal(pagein_populate(fixture.session.map, 0, 0, -1), 0);
		loop_post(context_loop(fixture.session.object->context), &holder.task);
		sem_wait(&holder.held);
		pthread_create(&dropper, NULL, drop_in_thread, &fixture);
		pthread_create(&writer, NULL, write_in_thread, &fixture);
		pthread_join(writer, NULL);
		pthread_join(dropper, NULL);
		check_page(&fixture, 7);
		check_dirty(&fixture);
		forget_page(&fixture, 7);
	}
	sem_destroy(&holder.held);
	close_fixture(&fixture);
}

/* ---- system calls that write ----------------------------------------------------------------- */

static void what_system_calls_write_stays(void **state)
{
	uint8_t text[3 * PAGE];
	struct iovec from = {text, sizeof text}, to;
	struct fixture fixture;
	int fd = memfd_create("text", MFD_CLOEXEC);

	memset(text, 'x', sizeof text);
	assert_int_equal(pwrite(fd, text, sizeof text, 0), sizeof text);
	open_fixture(&fixture, state);
	/* Over pages that are absent, clean and dirty, from the middle of the first. */
	for (size_t first = 10; first <= 50; first += 40) {
		check_page(&fixture, first + 1);
		write_page(&fixture, first + 2);
		memset(fixture.model + first * PAGE + 77, 'x', sizeof text);
		for (size_t page = first; page < first + 4; page++)
			fixture.dirty[page] = true;
	}
	assert_int_equal(pread(fd, fixture.bytes + 10 * PAGE + 77, sizeof text, 0), sizeof text);
	to = (struct iovec){fixture.bytes + 50 * PAGE + 77, sizeof text};
	assert_int_equal(process_vm_writev(getpid(), &from, 1, &to, 1, 0), sizeof text);
	check_all(&fixture);
	close_fixture(&fixture);
	close(fd);
}

/* ---- failures ------------------------------------------------------------------------------- */

static void a_write_to_a_page_that_failed_raises_sigbus(void **state)
{
	const struct pagein_options options = {
		.size = sizeof options, .timeout_ms = 2000, .attempts = 1};
	struct pagein_error error;
	struct fixture fixture;

	open_options(&fixture, state, &options);
	assert_int_equal(pagein_advise(fixture.session.map, 0, 0, PAGEIN_RANDOM), 0);
	write_page(&fixture, 8);
	write_page(&fixture, 9);
	/* Lost, so that its bit is stale when it fails: retry heals it all the same. */
	assert_int_equal(madvise(fixture.bytes + 8 * PAGE, PAGE, MADV_DONTNEED), 0);
	forget_page(&fixture, 8);
	server_script(&fixture.session.server, "path=/data : status=500");
	assert_int_equal(touch_write(fixture.bytes + 7 * PAGE, "x", 1), SIGBUS);
	assert_int_equal(touch_write(fixture.bytes + 8 * PAGE, "x", 1), SIGBUS);
	assert_int_equal(touch(fixture.bytes + 7 * PAGE, NULL), SIGBUS);
	assert_int_equal(pagein_error(fixture.session.map, fixture.bytes + 7 * PAGE, &error), 0);
	assert_int_equal(error.error, EIO);
	check_dirty(&fixture);
	server_script(&fixture.session.server, "");
	assert_int_equal(touch_write(fixture.bytes + 7 * PAGE, "x", 1), SIGBUS);
	assert_int_equal(pagein_retry(fixture.session.map, 0, 0), 0);
	check_dirty(&fixture);
	write_page(&fixture, 7);
	check_page(&fixture, 8);
	check_all(&fixture);
	close_fixture(&fixture);
}

/* Its reason moves with it, and it is not taken for one that was written and swapped out. */
static void a_failed_page_that_moves_is_not_dirty(void **state)
{
	const struct pagein_options options = {
		.size = sizeof options, .timeout_ms = 2000, .attempts = 1};
	uint8_t *place = place_for(PAGES * PAGE);
	struct pagein_error error;
	struct fixture fixture;

	open_options(&fixture, state, &options);
	server_script(&fixture.session.server, "path=/data : status=500");
	assert_int_equal(touch(fixture.bytes + 7 * PAGE, NULL), SIGBUS);
	server_script(&fixture.session.server, "");
	assert_ptr_equal(mremap(fixture.bytes, PAGES * PAGE, PAGES * PAGE,
				 MREMAP_MAYMOVE | MREMAP_FIXED, place),
		place);
	fixture.bytes = place;
	assert_int_equal(touch_write(fixture.bytes + 7 * PAGE, "x", 1), SIGBUS);
	assert_int_equal(pagein_error(fixture.session.map, fixture.bytes + 7 * PAGE, &error), 0);
	assert_int_equal(error.error, EIO);
	check_dirty(&fixture);
	/* Without a touch in between: populate tries it again. */
	assert_int_equal(pagein_populate(fixture.session.map, 0, 0, -1), 0);
	check_all(&fixture);
	write_page(&fixture, 7);
	check_all(&fixture);
	close_fixture(&fixture);
}

static void pages_past_the_end_are_never_dirty(void **state)
{
	struct pagein_range range;
	struct fixture fixture;
	struct pagein_map *map;
	uint8_t *bytes;

	open_fixture(&fixture, state);
	overlay_allow_async(!*(bool *)*state);
	assert_int_equal(
		pagein_map(fixture.session.object, 90 * PAGE, 30 * PAGE, PAGEIN_PRIVATE, &map), 0);
	overlay_allow_async(true);
	bytes = pagein_address(map);
	assert_int_equal(touch_write(bytes + 20 * PAGE, "x", 1), SIGBUS);
	assert_int_equal(touch_write(bytes + 2 * PAGE, "x", 1), 0);
	assert_int_equal(pagein_dirty(map, 0, 0, &range, 1), 1);
	assert_true(range.offset == 2 * PAGE && range.length == PAGE);
	pagein_unmap(map);
	close_fixture(&fixture);
}

static void an_empty_overlay_has_no_pages(void **state)
{
	struct session session;

	session_start_server(&session, 0);
	session_open_object(&session, NULL);
	session.map = map_private(session.object, *(bool *)*state);
	assert_int_equal(pagein_dirty(session.map, 0, 0, NULL, 0), 0);
	assert_int_equal(pagein_discard(session.map, 0, 0), 0);
	session_close(&session);
}

#define each_mode(test)                                      \
	{#test " (told)", test, NULL, NULL, &told},          \
	{                                                    \
#test " (untold)", test, NULL, NULL, &untold \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		each_mode(what_is_written_stays_and_the_rest_is_the_objects),
		each_mode(a_first_touch_that_writes_is_one_fault),
		each_mode(a_cached_page_that_is_written_first_is_one_fault),
		each_mode(the_last_page_may_be_written_behind_the_end),
		each_mode(dirty_counts_what_has_no_room),
		each_mode(the_calls_refuse_what_is_no_overlay),
		each_mode(the_loop_knows_what_it_must_not_evict),
		each_mode(discarded_pages_are_the_objects_again),
		each_mode(advice_drops_clean_pages_only),
		each_mode(madvise_drops_all_and_they_are_clean),
		each_mode(dirty_pages_move),
		each_mode(dirty_pages_move_in_pieces),
		each_mode(a_page_at_two_places_is_dirty_if_it_is_at_one),
		each_mode(dirty_pages_bear_mprotect_and_a_cut),
		each_mode(locked_pages_are_dirty),
		each_mode(a_child_has_its_own_overlay_with_the_same_dirty_pages),
		each_mode(a_child_whose_parent_serves_it_writes_for_itself),
		{"a_write_may_come_while_the_address_space_changes (told)",
			a_write_may_come_while_the_address_space_changes, NULL, NULL, &told},
		each_mode(what_system_calls_write_stays),
		each_mode(a_write_to_a_page_that_failed_raises_sigbus),
		each_mode(a_failed_page_that_moves_is_not_dirty),
		each_mode(pages_past_the_end_are_never_dirty),
		each_mode(an_empty_overlay_has_no_pages),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
