/*
 * readahead_test.c - tables of accesses and what is asked for, and what holds for any history and
 * any conditions.
 */
#include "check.h"

#include "pages.h"
#include "readahead.h"

#define SIZE (UINT64_C(1) << 40)

static const struct readahead_conditions near_by = {.object_size = SIZE, .first_byte_ns = 50000};
static const struct readahead_conditions far_away = {
	.object_size = SIZE, .first_byte_ns = 10 * 1000 * 1000};

static struct readahead_plan plan_page(
	struct readahead *readahead, uint64_t page, const struct readahead_conditions *conditions)
{
	struct range wanted = {page * PAGE_BYTES, (page + 1) * PAGE_BYTES};
	struct readahead_plan plan = readahead_plan(readahead, wanted, conditions);

	assert_true(plan.first.start == wanted.start && plan.first.end >= wanted.end);
	return plan;
}

/* Bytes that a plan asks for, in all its ranges. */
static uint64_t plan_bytes(const struct readahead_plan *plan)
{
	uint64_t ahead = range_empty(plan->ahead) ? 0 : range_length(plan->ahead) * plan->pieces;

	return range_length(plan->first) + ahead;
}

/* Pages that one page's want asks for. */
static uint64_t plan_pages(struct readahead *readahead, uint64_t page)
{
	struct readahead_plan plan = plan_page(readahead, page, &near_by);

	return plan_bytes(&plan) / PAGE_BYTES;
}

static void random_access_asks_for_what_is_wanted_only(void **state)
{
	struct readahead readahead = {0};
	uint64_t seed = 1;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(
			plan_pages(&readahead, random_next(&seed) % (SIZE / PAGE_BYTES)), 1);
}

/*
 * A reader that touches each page in turn, and whose door reports those pages that were not asked
 * for, and the marked ones. The largest distance that it was asked ahead of the reader.
 */
static uint64_t read_on(struct readahead *readahead, uint64_t *page, uint64_t count,
	const struct readahead_conditions *conditions, uint64_t *ret_reports)
{
	uint64_t asked_to = *page, mark = UINT64_MAX, ahead_max = 0;

	for (uint64_t end = *page + count; *page < end; ++*page) {
		struct readahead_plan plan;

		if (*page < asked_to && *page * PAGE_BYTES != mark)
			continue;
		++*ret_reports;
		plan = plan_page(readahead, *page, conditions);
		if (plan.first.end / PAGE_BYTES > asked_to)
			asked_to = plan.first.end / PAGE_BYTES;
		if (!range_empty(plan.ahead)) {
			/* Nothing is asked for twice, and nothing is left out. */
			assert_true(plan.ahead.start == asked_to * PAGE_BYTES);
			asked_to = plan.ahead.end / PAGE_BYTES;
		}
		if (plan.mark != UINT64_MAX) {
			assert_true(plan.mark > *page * PAGE_BYTES);
			assert_true(plan.mark < asked_to * PAGE_BYTES);
			mark = plan.mark;
		}
		if (asked_to - *page > ahead_max)
			ahead_max = asked_to - *page;
	}
	return ahead_max;
}

static void a_sequential_reader_is_seldom_waited_for(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 1000, reports = 0, ahead;

	(void)state;
	ahead = read_on(&readahead, &page, 100000, &near_by, &reports);
	assert_true(ahead >= READAHEAD_NEAR / PAGE_BYTES);
	assert_true(ahead <= READAHEAD_NEAR / PAGE_BYTES + 1);
	/* A report for each eighth of the window, and a few while it grows. */
	assert_true(reports <= 100000 / (READAHEAD_NEAR / PAGE_BYTES / 8) + 20);
	assert_true(reports >= 100000 / (READAHEAD_NEAR / PAGE_BYTES / 8) - 20);
}

/* As for pages that are cached: little is asked for at once, and nothing is held back. */
static void a_stream_goes_on_behind_a_plan_that_was_cut(void **state)
{
	struct readahead readahead = {0};
	uint64_t asked_to = 0, reports = 0;
	struct readahead_plan plan;

	(void)state;
	for (uint64_t page = 0; page < 10000; page++) {
		if (page < asked_to)
			continue;
		reports++;
		plan = plan_page(&readahead, page, &far_away);
		asked_to = page + 1;
		if (range_length(plan.first) + range_length(plan.ahead) == PAGE_BYTES)
			continue;
		asked_to += 32;
		readahead_amend(&readahead, &plan, asked_to * PAGE_BYTES, UINT64_MAX);
		assert_true(plan.first.start == page * PAGE_BYTES);
		assert_true(plan.first.end <= asked_to * PAGE_BYTES);
		assert_true(plan.ahead.end <= asked_to * PAGE_BYTES);
	}
	assert_true(reports <= 10000 / 32 + 10);
	/* Where it has to be fetched, the window is as large as ever. */
	plan = plan_page(&readahead, asked_to, &far_away);
	assert_true(range_length(plan.first) + range_length(plan.ahead) > READAHEAD_NEAR);
}

static void a_distant_server_gets_a_larger_window_in_more_ranges(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 0, reports = 0, ahead;

	(void)state;
	ahead = read_on(&readahead, &page, 100000, &far_away, &reports);
	assert_true(ahead > READAHEAD_NEAR / PAGE_BYTES);
	assert_true(ahead <= READAHEAD_WAYS * READAHEAD_NEAR / PAGE_BYTES + 1);
}

static void the_memory_limit_bounds_the_window(void **state)
{
	struct readahead_conditions tight = near_by;
	struct readahead readahead = {0};
	uint64_t page = 0, reports = 0;

	(void)state;
	tight.memory_bytes = UINT64_C(1) << 20;
	assert_true(read_on(&readahead, &page, 10000, &tight, &reports) <=
		    tight.memory_bytes / PAGE_BYTES + 1);
}

static void many_streams_go_on_side_by_side(void **state)
{
	struct readahead readahead = {0};
	uint64_t pages[READAHEAD_STREAMS], reports = 0;

	(void)state;
	for (uint64_t i = 0; i < READAHEAD_STREAMS; i++) {
		pages[i] = i * 1000000;
		read_on(&readahead, &pages[i], 2, &near_by, &reports);
	}
	/* The stream is known: an access right behind its window extends it. */
	for (uint64_t i = 0; i < READAHEAD_STREAMS; i++) {
		assert_true(readahead.streams[i].window > 0);
		assert_true(plan_pages(&readahead, readahead.streams[i].next / PAGE_BYTES) > 1);
	}
}

static void random_accesses_do_not_end_a_stream(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 0, reports = 0, seed = 3;

	(void)state;
	read_on(&readahead, &page, 1000, &near_by, &reports);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(plan_pages(&readahead,
					 1000000 + random_next(&seed) % 1000 * 100 + 100000 * i),
			1);
	assert_true(plan_pages(&readahead, readahead.streams[0].next / PAGE_BYTES) > 32);
}

static void requests_in_disorder_stay_one_stream(void **state)
{
	const uint64_t request = UINT64_C(128) << 10;
	struct readahead readahead = {0};
	uint64_t asked = 0;

	(void)state;
	/* As FUSE sends them, neighbours changing places. */
	for (uint64_t i = 0; i < 64; i++) {
		uint64_t start = (i ^ 1) * request;
		struct readahead_plan plan = readahead_plan(
			&readahead, (struct range){start, start + request}, &near_by);
		uint64_t end = range_empty(plan.ahead) ? plan.first.end : plan.ahead.end;

		asked = end > asked ? end : asked;
		if (i > 4)
			assert_true(asked >= start + 2 * request);
	}
	assert_true(readahead.streams[0].window > 0 && readahead.streams[1].window == 0);
}

static void random_accesses_do_not_grow_a_stream_that_they_hit(void **state)
{
	const uint64_t pages = 1 << 18, accesses = 20000;
	struct readahead_conditions conditions = far_away;
	struct readahead readahead = {0};
	uint64_t seed = 5, asked = 0;

	(void)state;
	conditions.object_size = pages * PAGE_BYTES;
	for (uint64_t i = 0; i < accesses; i++) {
		struct readahead_plan plan = plan_page(
			&readahead, random_next(&seed) % pages, &conditions);

		asked += plan_bytes(&plan);
	}
	assert_true(asked <= accesses * PAGE_BYTES * 5 / 4);
}

/* ---- strides ------------------------------------------------------------------------------ */

/* A reader at equal distances, of pages, and what its door knows. */
struct strider {
	uint64_t start; /* its first page */
	int64_t step;   /* pages */
	uint64_t at;    /* the piece that comes next */
	uint64_t asked; /* pieces that were asked for */
	uint64_t mark;  /* the newest plan's */
	uint64_t ahead_max;
	uint64_t reports;
	uint64_t misses; /* touches of what was not asked for */
};

static uint64_t strider_page(const struct strider *strider, uint64_t piece)
{
	return strider->start + (uint64_t)strider->step * piece;
}

/* All that is ahead is the next pieces, in turn and once each, and the mark is one of them. */
static void strider_check(struct strider *strider, const struct readahead_plan *plan)
{
	bool is_marked = plan->mark == UINT64_MAX;

	assert_true(range_length(plan->first) == PAGE_BYTES);
	if (strider->asked <= strider->at)
		strider->asked = strider->at + 1;
	for (uint64_t i = 0; i < plan->pieces && !range_empty(plan->ahead); i++) {
		struct range piece = readahead_piece(plan, i);

		assert_true(range_length(piece) == PAGE_BYTES);
		assert_true(piece.start / PAGE_BYTES == strider_page(strider, strider->asked++));
		is_marked |= piece.start == plan->mark;
	}
	assert_true(is_marked);
	if (plan->mark != UINT64_MAX)
		strider->mark = plan->mark;
	if (strider->asked - strider->at - 1 > strider->ahead_max)
		strider->ahead_max = strider->asked - strider->at - 1;
}

/* Touches its next piece; a map's door hears of what was not asked for, and of the mark. */
static void strider_touch(struct strider *strider, struct readahead *readahead,
	const struct readahead_conditions *conditions)
{
	uint64_t page = strider_page(strider, strider->at);

	if (strider->at >= strider->asked || page * PAGE_BYTES == strider->mark) {
		struct readahead_plan plan = plan_page(readahead, page, conditions);

		strider->misses += strider->at >= strider->asked;
		strider_check(strider, &plan);
		strider->reports++;
	}
	strider->at++;
}

static void two_equal_distances_make_a_stride(void **state)
{
	static const int64_t steps[] = {6, 16, 256, 4096, -6, -16, -256, -4096};

	(void)state;
	for (size_t i = 0; i < array_len(steps); i++) {
		struct strider strider = {.start = 1 << 20, .step = steps[i], .mark = UINT64_MAX};
		struct readahead readahead = {0};

		for (int j = 0; j < 3; j++) {
			assert_int_equal(strider.ahead_max, 0);
			strider_touch(&strider, &readahead, &near_by);
		}
		assert_true(strider.ahead_max >= 2);
	}
}

static void a_short_or_a_long_distance_makes_no_stride(void **state)
{
	static const int64_t steps[] = {READAHEAD_STEP_MAX / PAGE_BYTES + 1, 1 << 20};

	(void)state;
	for (size_t i = 0; i < array_len(steps); i++) {
		struct readahead readahead = {0};

		for (uint64_t j = 0; j < 20; j++)
			assert_int_equal(plan_pages(&readahead, j * (uint64_t)steps[i]), 1);
	}
}

/* The most that one stride is ahead, in pieces. */
static uint64_t stride_ahead(const struct readahead_conditions *conditions, uint64_t *ret_reports)
{
	struct strider strider = {.start = 1000, .step = 16, .mark = UINT64_MAX};
	struct readahead readahead = {0};

	for (int i = 0; i < 10000; i++)
		strider_touch(&strider, &readahead, conditions);
	*ret_reports = strider.reports;
	/* It is seldom waited for once it is known. */
	assert_true(strider.misses <= 3 || strider.ahead_max < 4);
	return strider.ahead_max;
}

static void a_stride_is_as_far_ahead_as_the_server_is_far(void **state)
{
	struct readahead_conditions between = near_by;
	uint64_t reports;

	(void)state;
	assert_int_equal(stride_ahead(&far_away, &reports), READAHEAD_PIECES);
	assert_true(reports <= 10000 / (READAHEAD_PIECES / 2) + 20);
	between.first_byte_ns = 300 * 1000;
	assert_int_equal(stride_ahead(&between, &reports), 30);
	assert_int_equal(stride_ahead(&near_by, &reports), 16);
	assert_true(reports <= 10000 / 8 + 20);
}

static void the_memory_limit_bounds_a_stride(void **state)
{
	struct readahead_conditions tight = far_away;
	uint64_t reports;

	(void)state;
	/* Four of these pages share a block's buffer. */
	tight.memory_bytes = 5 * BLOCK_BYTES;
	assert_true(stride_ahead(&tight, &reports) <= 20);
	tight.memory_bytes = 1;
	assert_int_equal(stride_ahead(&tight, &reports), 0);
}

static void eight_strides_go_on_side_by_side(void **state)
{
	struct readahead readahead = {0};
	struct strider striders[8];

	(void)state;
	for (uint64_t i = 0; i < 8; i++)
		striders[i] = (struct strider){
			.start = i * 9000001, .step = 16 + 40 * (int64_t)i, .mark = UINT64_MAX};
	for (int round = 0; round < 1000; round++)
		for (uint64_t i = 0; i < 8; i++)
			strider_touch(&striders[i], &readahead, &far_away);
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(striders[i].ahead_max, READAHEAD_PIECES);
		assert_true(striders[i].reports <= 1000 / (READAHEAD_PIECES / 2) + 12);
	}
}

/* The fields of a row are at equal distances too, but there are only so many. */
static void eight_columns_are_eight_strides(void **state)
{
	const uint64_t rows = 2000;
	struct readahead readahead = {0};
	uint64_t marks = 0, told = 0, bytes = 0;
	uint8_t *asked = calloc(rows + 4096, 8);

	(void)state;
	for (uint64_t i = 0; i < 8 * rows; i++) {
		uint64_t page = i / 8 * 256 + i % 8 * 20;
		struct readahead_plan plan;

		if (asked[i] == 1)
			continue;
		told++;
		plan = plan_page(&readahead, page, &far_away);
		bytes += plan_bytes(&plan) - (asked[i] ? PAGE_BYTES : 0);
		for (uint64_t j = 0; j < plan.pieces && !range_empty(plan.ahead); j++) {
			uint64_t piece = readahead_piece(&plan, j).start / PAGE_BYTES;

			if (piece % 256 % 20 == 0 && piece % 256 < 160)
				asked[piece / 256 * 8 + piece % 256 / 20] =
					piece * PAGE_BYTES == plan.mark ? 2 : 1;
		}
		marks += plan.mark != UINT64_MAX;
	}
	assert_true(told <= rows * 8 / 8);
	assert_true(bytes <= rows * 8 * PAGE_BYTES * 11 / 10);
	assert_true(marks <= told);
	free(asked);
}

static void random_accesses_do_not_end_a_stride(void **state)
{
	struct strider strider = {.start = 1000, .step = 16, .mark = UINT64_MAX};
	struct readahead readahead = {0};
	uint64_t seed = 3, reports;

	(void)state;
	for (int i = 0; i < 500; i++)
		strider_touch(&strider, &readahead, &far_away);
	reports = strider.reports;
	for (int i = 0; i < 500; i++) {
		for (int j = 0; j < 20; j++)
			plan_page(&readahead, 1000000 + random_next(&seed) % 100000000, &far_away);
		strider_touch(&strider, &readahead, &far_away);
	}
	assert_true(strider.reports - reports <= 500 / (READAHEAD_PIECES / 2) + 1);
}

/* What 2,000 random accesses ask for: all pages, and those that are a stride's pieces. */
static uint64_t random_pages_asked(uint64_t seed, uint64_t *ret_pieces)
{
	/* So small that three pages are in line by accident. */
	const uint64_t pages = UINT64_C(1) << (16 + seed % 4);
	struct readahead_conditions conditions = seed % 2 ? near_by : far_away;
	struct readahead readahead = {0};
	uint64_t random = seed * 7919, asked = 0;

	*ret_pieces = 0;
	conditions.object_size = pages * PAGE_BYTES;
	for (uint64_t i = 0; i < 2000; i++) {
		struct readahead_plan plan = plan_page(
			&readahead, random_next(&random) % pages, &conditions);

		asked += plan_bytes(&plan) / PAGE_BYTES;
		*ret_pieces += plan.stride_bytes ? plan.pieces : 0;
	}
	return asked;
}

static void random_accesses_are_no_strides(void **state)
{
	uint64_t pieces, asked;

	(void)state;
	for (uint64_t seed = 1; seed < 40; seed++) {
		asked = random_pages_asked(seed, &pieces);
		assert_true(asked >= 2000 && pieces <= 2000 / 20);
	}
}

static void a_stride_ends_where_the_object_does(void **state)
{
	struct strider up = {.start = 3, .step = 16, .mark = UINT64_MAX};
	struct strider down = {.start = 1603, .step = -16, .mark = UINT64_MAX};
	struct readahead_conditions conditions = far_away;
	struct readahead readahead = {0};

	(void)state;
	/* One byte of the last page is missing. */
	conditions.object_size = 1604 * PAGE_BYTES - 1;
	for (int i = 0; i < 100; i++)
		strider_touch(&up, &readahead, &conditions);
	assert_int_equal(up.asked, 100);
	readahead = (struct readahead){0};
	for (int i = 0; i < 101; i++)
		strider_touch(&down, &readahead, &far_away);
	assert_int_equal(down.asked, 101);
}

/* A mount is told of each read, and neighbours may change places. */
static void reads_in_disorder_are_asked_for_once(void **state)
{
	struct readahead readahead = {0};
	uint64_t pieces = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		struct readahead_plan plan = plan_page(&readahead, (i ^ 1) * 64, &far_away);

		pieces += range_empty(plan.ahead) ? 0 : plan.pieces;
	}
	assert_true(pieces >= 990 && pieces <= 1000 + 2 * READAHEAD_PIECES);
	/* The even ones and the odd ones. */
	assert_int_equal(readahead.strides[2].step, 0);
	/* One that is known already stays what it is. */
	readahead = (struct readahead){0};
	for (uint64_t i = 0; i < 1000; i++)
		plan_page(&readahead, (i < 20 ? i : i ^ 1) * 64, &far_away);
	assert_int_equal(readahead.strides[1].step, 0);
}

/* Pages right before each other: one range, not a request for each. */
static void reading_backwards_asks_for_ranges(void **state)
{
	struct readahead readahead = {0};
	uint64_t asked = 10000, mark = UINT64_MAX, requests = 0;

	(void)state;
	for (uint64_t page = 9999; page > 0; page--) {
		struct readahead_plan plan;

		if (page >= asked && page * PAGE_BYTES != mark)
			continue;
		plan = plan_page(&readahead, page, &near_by);
		requests++;
		asked = page < asked ? page : asked;
		if (range_empty(plan.ahead))
			continue;
		assert_true(plan.pieces == 1 && plan.ahead.end == asked * PAGE_BYTES);
		assert_true(range_contains(plan.ahead, (struct range){plan.mark, plan.mark + 1}));
		asked = plan.ahead.start / PAGE_BYTES;
		mark = plan.mark;
	}
	assert_int_equal(asked, 0);
	assert_true(requests <= 10000 / 32 + 10);
}

/* A piece of two pages, in a map, is two accesses: side by side, and no beginning of a scan. */
static void pieces_of_two_pages_are_two_strides(void **state)
{
	struct readahead readahead = {0};
	uint64_t asked = 0;

	(void)state;
	for (uint64_t i = 0; i < 200; i++) {
		struct readahead_plan plan = plan_page(&readahead, i / 2 * 256 + i % 2, &near_by);

		if (i >= 6)
			asked += plan_bytes(&plan) - PAGE_BYTES;
	}
	assert_true(asked <= (200 + 2 * READAHEAD_PIECES) * PAGE_BYTES);
}

/*
 * Nobody is told of a reader while its pages are resident. When it catches up with the network, it
 * is told of again, at places that the network chose.
 */
static void a_reader_that_catches_up_is_its_streams(void **state)
{
	struct readahead readahead = {0};
	uint64_t page = 0, reports = 0, next;

	(void)state;
	read_on(&readahead, &page, 40000, &far_away, &reports);
	next = readahead.streams[0].next / PAGE_BYTES;
	/* Places at equal distances, within what is asked for. */
	for (uint64_t at = page + 500; at < next - 500; at += 300)
		assert_int_equal(plan_page(&readahead, at, &far_away).pieces, 1);
	assert_int_equal(readahead.strides[0].step, 0);
	/* And in order, where more should be asked for. */
	plan_page(&readahead, next - 300, &far_away);
	assert_false(range_empty(plan_page(&readahead, next - 299, &far_away).ahead));
	assert_int_equal(readahead.streams[1].window, 0);
}

/* How far all streams together are ahead of their readers, in bytes. */
static uint64_t all_ahead(const struct readahead *readahead)
{
	uint64_t ahead = 0;

	for (size_t i = 0; i < READAHEAD_STREAMS; i++)
		ahead += readahead->streams[i].next - readahead->streams[i].reader;
	return ahead;
}

static void streams_share_the_memory(void **state)
{
	const uint64_t request = UINT64_C(128) << 10;
	struct readahead_conditions conditions = far_away;
	struct readahead readahead = {0};

	(void)state;
	conditions.memory_bytes = UINT64_C(32) << 20;
	for (uint64_t i = 0; i < 8 * 1000; i++) {
		uint64_t start = (i % 8 << 32) + i / 8 * request;

		readahead_plan(&readahead, (struct range){start, start + request}, &conditions);
	}
	assert_true(all_ahead(&readahead) <= conditions.memory_bytes);
	assert_true(all_ahead(&readahead) >= conditions.memory_bytes / 2 - 8 * request);
	/* The others have stopped: it is all for one. */
	for (uint64_t i = 1000; i < 2000; i++)
		readahead_plan(
			&readahead, (struct range){i * request, (i + 1) * request}, &conditions);
	assert_true(readahead.streams[0].next - readahead.streams[0].reader >=
		    conditions.memory_bytes / 2 - request);
}

/* The core cuts what there is no memory for, and evicts what is old; a reader is told of neither.
 */
static void what_was_asked_for_and_is_absent_is_asked_for_again(void **state)
{
	struct readahead_conditions absent = far_away;
	struct readahead readahead = {0}, strides = {0};
	uint64_t page = 0, reports = 0;

	(void)state;
	absent.absent = true;
	for (; page < 100; page++)
		plan_page(&readahead, page, &far_away);
	assert_int_equal(range_length(plan_page(&readahead, page, &far_away).first), PAGE_BYTES);
	page++;
	assert_true(range_length(plan_page(&readahead, page, &absent).first) > READAHEAD_START);
	assert_int_equal(readahead.streams[1].window, 0);
	/* Not for a read behind the reader: the kernel has dropped what it had. */
	assert_int_equal(range_length(plan_page(&readahead, page - 2, &absent).first), PAGE_BYTES);
	for (; reports < 100; reports++)
		plan_page(&strides, reports * 16, &far_away);
	assert_true(range_empty(plan_page(&strides, reports * 16, &far_away).ahead));
	reports++;
	assert_true(plan_page(&strides, reports * 16, &absent).ahead.start ==
		    (reports + 1) * 16 * PAGE_BYTES);
}

static void random_accesses_ask_for_a_quarter_more_at_most(void **state)
{
	uint64_t pieces;

	(void)state;
	for (uint64_t seed = 1; seed < 40; seed++)
		assert_true(random_pages_asked(seed, &pieces) <= 2000 * 5 / 4);
}

/* Each looks like the beginning of a scan. */
static void records_of_two_pages_make_windows_start_small(void **state)
{
	struct readahead readahead = {0};
	uint64_t seed = 9, asked = 0, page, reports = 0;

	(void)state;
	for (uint64_t i = 0; i < 2000; i++) {
		page = random_next(&seed) % (SIZE / PAGE_BYTES - 1);
		asked += plan_pages(&readahead, page) - 1;
		if (i >= 100)
			asked += plan_pages(&readahead, page + 1) - 1;
		else
			plan_pages(&readahead, page + 1);
	}
	assert_true(asked <= 1900 * 2);
	/* A scan gets all the same what it can use, a little later. */
	page = 77;
	assert_true(read_on(&readahead, &page, 10000, &near_by, &reports) >=
		    READAHEAD_NEAR / PAGE_BYTES);
	assert_true(reports < 10000 / (READAHEAD_NEAR / PAGE_BYTES / 8) + 40);
	/* And when scans have proved to be such, they start with all of it. */
	for (uint64_t i = 1; i <= READAHEAD_STREAMS; i++) {
		page = i * 1000000;
		read_on(&readahead, &page, 10000, &near_by, &reports);
	}
	plan_pages(&readahead, 99000000);
	assert_true(plan_pages(&readahead, 99000001) >= READAHEAD_START / PAGE_BYTES);
}

/* ---- advice, and what always holds --------------------------------------------------------- */

static void advice_random_never_reads_ahead(void **state)
{
	struct readahead readahead = {.advice = READAHEAD_RANDOM};

	(void)state;
	for (uint64_t page = 0; page < 100; page++)
		assert_int_equal(plan_pages(&readahead, page), 1);
}

static void advice_sequential_reads_ahead_at_once(void **state)
{
	struct readahead readahead = {.advice = READAHEAD_SEQUENTIAL};

	(void)state;
	assert_true(plan_pages(&readahead, 500) >= READAHEAD_START / PAGE_BYTES);
}

static struct range any_wanted(uint64_t *seed, uint64_t size, uint64_t last)
{
	uint64_t pages = (size + PAGE_BYTES - 1) / PAGE_BYTES;
	uint64_t page = random_next(seed) % pages;
	struct range wanted;

	/* Near the last one, mostly. */
	if (random_next(seed) % 4)
		page = (last + random_next(seed) % 40) % pages;
	wanted.start = page * PAGE_BYTES;
	wanted.end = wanted.start + 1 + random_next(seed) % (64 * PAGE_BYTES);
	if (wanted.end > size)
		wanted.end = size;
	return wanted;
}

static void check_plan(const struct readahead_plan *plan, struct range wanted,
	const struct readahead_conditions *conditions)
{
	uint64_t size = conditions->object_size, end = plan->first.end;

	assert_true(plan->first.start == wanted.start);
	assert_true(plan->first.end >= wanted.end && plan->first.end <= size);
	assert_true(plan->first.end % PAGE_BYTES == 0 || plan->first.end == size);
	assert_true(plan->chunk_bytes >= PAGE_BYTES);
	assert_true(plan->pieces >= 1 && plan->pieces <= READAHEAD_PIECES);
	for (uint64_t i = 0; i < plan->pieces && !range_empty(plan->ahead); i++) {
		struct range piece = readahead_piece(plan, i);

		assert_true(piece.start % PAGE_BYTES == 0);
		assert_true(plan->stride_bytes || !range_overlaps(piece, plan->first));
		assert_true(piece.end % PAGE_BYTES == 0 || piece.end == size);
		assert_true(piece.end <= size);
		if (plan->pieces == 1 && piece.end > end)
			end = piece.end;
	}
	assert_true(end <= align_up(wanted.end, PAGE_BYTES) + READAHEAD_WAYS * READAHEAD_NEAR);
	if (plan->mark != UINT64_MAX)
		assert_true(plan->mark % PAGE_BYTES == 0 && plan->mark < size);
}

static void a_plan_always_holds_what_is_wanted(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct readahead readahead = {.advice = (enum readahead_advice)(round % 3)};
		struct readahead_conditions conditions = {
			.object_size = 1 + random_next(&seed) % (UINT64_C(1) << (12 + round % 24)),
		};
		uint64_t last = 0;

		for (int i = 0; i < 2000; i++) {
			struct range wanted = any_wanted(&seed, conditions.object_size, last);
			struct readahead_plan plan;

			/* The server comes and goes, and memory does. */
			if (random_next(&seed) % 8 == 0)
				conditions.first_byte_ns = random_next(&seed) % 20000000;
			if (random_next(&seed) % 8 == 0)
				conditions.memory_bytes = random_next(&seed) % 10000000;
			plan = readahead_plan(&readahead, wanted, &conditions);
			check_plan(&plan, wanted, &conditions);
			last = plan.first.end / PAGE_BYTES;
		}
	}
}

static bool plan_has(const struct readahead_plan *plan, uint64_t offset)
{
	for (uint64_t i = 0; !range_empty(plan->ahead) && i < plan->pieces; i++) {
		struct range piece = readahead_piece(plan, i);

		if (offset >= piece.start && offset < piece.end)
			return true;
	}
	return false;
}

static uint64_t plan_requests(const struct readahead_plan *plan)
{
	if (range_empty(plan->ahead))
		return 0;
	return plan->pieces * ((range_length(plan->ahead) - 1) / plan->chunk_bytes + 1);
}

/* What there is no room for is not lost: the stride asks for it when its reader is there. */
static void a_stride_that_was_cut_asks_for_the_rest_later(void **state)
{
	static const int64_t steps[] = {16, -16, -1};
	struct readahead_conditions far_off = {
		.object_size = UINT64_C(1) << 40, .first_byte_ns = 10000000};

	(void)state;
	for (size_t i = 0; i < array_len(steps); i++) {
		struct readahead readahead = {0};
		uint64_t page = 1 << 20, asked = 0;

		for (int touch = 0; touch < 200; touch++, page += (uint64_t)steps[i]) {
			struct range wanted = {page * PAGE_BYTES, (page + 1) * PAGE_BYTES};
			struct readahead_plan plan = readahead_plan(&readahead, wanted, &far_off);

			readahead_amend_stride(&readahead, &plan, 3);
			assert_true(
				plan.first.start == wanted.start && plan.first.end == wanted.end);
			assert_true(plan_requests(&plan) <= 3);
			assert_true(plan.mark == UINT64_MAX || plan_has(&plan, plan.mark));
			asked += plan_requests(&plan) * (range_length(plan.ahead) / PAGE_BYTES);
		}
		/* Each piece once, but for those that made the stride and what is still ahead. */
		assert_true(asked >= 150);
		assert_true(steps[i] == -1 || asked <= 200 + READAHEAD_PIECES);
	}
}

/*
 * A door that publishes 2 MiB at once is told to ask for such, once the stream is worth as much,
 * and sees its reader at the first page of each: the mark is one, and ahead of who reads.
 */
static void windows_of_units_end_with_units(void **state)
{
	static const struct readahead_conditions *const distances[] = {&near_by, &far_away};
	const uint64_t unit = UINT64_C(2) << 20;

	(void)state;
	for (size_t i = 0; i < array_len(distances); i++) {
		struct readahead_conditions conditions = *distances[i];
		struct readahead readahead = {0};
		uint64_t asked_to = 0, mark = UINT64_MAX, whole = 0;

		conditions.unit_bytes = unit;
		for (uint64_t at = 0; at < 400 * unit; at += PAGE_BYTES) {
			struct readahead_plan plan;

			if (at < asked_to && at != mark)
				continue;
			plan = plan_page(&readahead, at / PAGE_BYTES, &conditions);
			if (plan.first.end > asked_to)
				asked_to = plan.first.end;
			if (!range_empty(plan.ahead))
				asked_to = plan.ahead.end;
			if (plan.mark == UINT64_MAX)
				continue;
			mark = plan.mark;
			if (asked_to - at <= unit)
				continue;
			whole++;
			assert_true(asked_to % unit == 0);
			assert_true(mark % unit == 0 && mark > at && mark < asked_to);
		}
		assert_true(whole >= 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_of_units_end_with_units),
		cmocka_unit_test(a_stride_that_was_cut_asks_for_the_rest_later),
		cmocka_unit_test(random_access_asks_for_what_is_wanted_only),
		cmocka_unit_test(a_sequential_reader_is_seldom_waited_for),
		cmocka_unit_test(a_stream_goes_on_behind_a_plan_that_was_cut),
		cmocka_unit_test(a_distant_server_gets_a_larger_window_in_more_ranges),
		cmocka_unit_test(the_memory_limit_bounds_the_window),
		cmocka_unit_test(many_streams_go_on_side_by_side),
		cmocka_unit_test(random_accesses_do_not_end_a_stream),
		cmocka_unit_test(requests_in_disorder_stay_one_stream),
		cmocka_unit_test(random_accesses_do_not_grow_a_stream_that_they_hit),
		cmocka_unit_test(two_equal_distances_make_a_stride),
		cmocka_unit_test(a_short_or_a_long_distance_makes_no_stride),
		cmocka_unit_test(a_stride_is_as_far_ahead_as_the_server_is_far),
		cmocka_unit_test(the_memory_limit_bounds_a_stride),
		cmocka_unit_test(eight_strides_go_on_side_by_side),
		cmocka_unit_test(eight_columns_are_eight_strides),
		cmocka_unit_test(random_accesses_do_not_end_a_stride),
		cmocka_unit_test(random_accesses_are_no_strides),
		cmocka_unit_test(a_stride_ends_where_the_object_does),
		cmocka_unit_test(reads_in_disorder_are_asked_for_once),
		cmocka_unit_test(reading_backwards_asks_for_ranges),
		cmocka_unit_test(pieces_of_two_pages_are_two_strides),
		cmocka_unit_test(a_reader_that_catches_up_is_its_streams),
		cmocka_unit_test(streams_share_the_memory),
		cmocka_unit_test(what_was_asked_for_and_is_absent_is_asked_for_again),
		cmocka_unit_test(random_accesses_ask_for_a_quarter_more_at_most),
		cmocka_unit_test(records_of_two_pages_make_windows_start_small),
		cmocka_unit_test(advice_random_never_reads_ahead),
		cmocka_unit_test(advice_sequential_reads_ahead_at_once),
		cmocka_unit_test(a_plan_always_holds_what_is_wanted),
	};

	return run_group(tests);
}
