/*
 * figures_test.c - the list of figures, how those of several loops become one, and their text,
 * which is read back by the reader that `pagein top` has.
 */
#include "figures.h"

#include <errno.h>

#include "check.h"
#include "cleanup.h"
#include "openmetrics.h"

static void put_back(struct figures *figures, struct samples *ret)
{
	cleanup_free char *text = NULL;
	size_t length;
	unsigned line;

	assert_int_equal(figures_print(figures, &text, &length), 0);
	assert_int_equal(strlen(text), length);
	if (samples_parse(text, length, ret, &line) < 0)
		fail_msg("line %u of:\n%s", line, text);
}

/* ---- times -------------------------------------------------------------------------------- */

/* A value counts in the first bucket whose bound it does not exceed. */
static void values_count_up_to_their_bound(void **state)
{
	struct spread spread = {.sum_ns = 0};

	(void)state;
	for (unsigned i = 0; i < SPREAD_BOUNDS; i++) {
		uint64_t bound_ns = spread_bound_ns(i);

		assert_true(bound_ns < spread_bound_ns(i + 1));
		spread_record(&spread, bound_ns);
		assert_int_equal(spread.counts[i], i == 0 ? 1 : 2);
		spread_record(&spread, bound_ns + 1);
		assert_int_equal(spread.counts[i + 1], 1);
	}
	spread_record(&spread, 0);
	assert_int_equal(spread.counts[0], 2);
	spread_record(&spread, UINT64_MAX / 4);
	assert_int_equal(spread.counts[SPREAD_BOUNDS], 2);
	assert_int_equal(spread_count(&spread), 2 * SPREAD_BOUNDS + 2);
}

/* ---- the list ----------------------------------------------------------------------------- */

static void each_name_is_one_and_ends_with_its_unit(void **state)
{
	struct figure_info info, other;
	unsigned count = 0;

	(void)state;
	for (; figure_info(count, &info); count++) {
		size_t length = strlen(info.name), unit = strlen(info.unit);

		assert_memory_equal(info.name, "pagein_", 7);
		assert_true(length > unit && strcmp(info.name + length - unit, info.unit) == 0);
		assert_true(info.doors[FIGURES_MOUNT] || info.doors[FIGURES_PROCESS]);
		assert_true(info.help[strlen(info.help) - 1] == '.');
		assert_null(strpbrk(info.help, "\\\n"));
		for (unsigned i = 0; i < count; i++) {
			assert_true(figure_info(i, &other));
			assert_string_not_equal(other.name, info.name);
		}
	}
	assert_true(count > FIGURE_COUNT + SPREAD_COUNT);
}

/* What is not of a door is not in its text; all that is, is. */
static void each_door_has_its_own(void **state)
{
	(void)state;
	for (unsigned door = FIGURES_MOUNT; door <= FIGURES_PROCESS; door++) {
		cleanup_free struct figures *figures = figures_create(door);
		struct samples samples cleanup(samples_finish) = {0};
		struct figure_info info;
		char name[128];

		figures_add_object(figures, "x", &(struct object_figures){0});
		figures_add_thread(figures, &(struct thread_figures){1, 2, 3});
		put_back(figures, &samples);
		for (unsigned i = 0; figure_info(i, &info); i++) {
			snprintf(name, sizeof name, "%s%s", info.name,
				*info.type == 'c'   ? "_total"
				: *info.type == 'h' ? "_count"
						    : "");
			assert_int_equal(
				samples_find(&samples, name, NULL) != NULL, info.doors[door]);
		}
	}
}

/* ---- sums --------------------------------------------------------------------------------- */

static void loops_are_added_up(void **state)
{
	cleanup_free struct figures *one = figures_create(FIGURES_PROCESS);
	cleanup_free struct figures *two = figures_create(FIGURES_PROCESS);
	struct samples samples cleanup(samples_finish) = {0};

	(void)state;
	one->values[FIGURE_FAULTS] = 3;
	two->values[FIGURE_FAULTS] = UINT64_C(1) << 50;
	two->values[FIGURE_MAPS] = 7;
	spread_record(&one->spreads[SPREAD_WAIT], 1500);
	spread_record(&two->spreads[SPREAD_WAIT], 2500);
	figures_add_object(one, "a", &(struct object_figures){1, 2, 3, 4, 5});
	figures_add_object(two, "a", &(struct object_figures){10, 20, 30, 40, 50});
	figures_add_object(two, "b", &(struct object_figures){.used_bytes = 1000});
	figures_add_thread(one, &(struct thread_figures){5, 1, 1000000001});
	figures_add_thread(two, &(struct thread_figures){5, 1, 1});
	figures_add(one, two);
	put_back(one, &samples);
	assert_true(samples_number(&samples, "pagein_faults_total", NULL) == 1125899906842627.0);
	assert_true(samples_number(&samples, "pagein_maps", NULL) == 7);
	assert_true(samples_number(&samples, "pagein_wait_seconds_count", NULL) == 2);
	assert_true(samples_number(&samples, "pagein_wait_seconds_sum", NULL) == 0.000004);
	assert_true(samples_number(&samples, "pagein_wait_seconds_bucket", "0.0000015") == 1);
	assert_true(samples_number(&samples, "pagein_wait_seconds_bucket", "0.000003") == 2);
	assert_true(samples_number(&samples, "pagein_wait_seconds_bucket", "+Inf") == 2);
	assert_true(samples_number(&samples, "pagein_object_uses_total", "a") == 11);
	assert_true(samples_number(&samples, "pagein_object_failures_total", "a") == 55);
	assert_true(samples_number(&samples, "pagein_thread_stalled_seconds_total", "5") ==
		    1.000000002);
	/* The most used is first. */
	assert_string_equal(samples_find(&samples, "pagein_object_uses_total", NULL)->value, "b");
	figures_clear_gauges(one);
	assert_int_equal(one->values[FIGURE_MAPS], 0);
	assert_int_equal(one->values[FIGURE_FAULTS], (UINT64_C(1) << 50) + 3);
}

static size_t count_samples(const struct samples *samples, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < samples->count; i++)
		count += strcmp(samples->list[i].name, name) == 0;
	return count;
}

/* However many there are; and the most used are among those that are shown. */
static void objects_and_threads_are_bounded(void **state)
{
	cleanup_free struct figures *figures = figures_create(FIGURES_PROCESS);
	struct samples samples cleanup(samples_finish) = {0};
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 10 * FIGURES_ROOM; i++) {
		snprintf(name, sizeof name, "object %u", i);
		figures_add_object(figures, name,
			&(struct object_figures){.used_bytes = i % 7 ? i : 1000000 + i});
		figures_add_thread(
			figures, &(struct thread_figures){(int32_t)i, 1, i % 7 ? i : 1000000 + i});
	}
	put_back(figures, &samples);
	assert_int_equal(count_samples(&samples, "pagein_object_uses_total"), FIGURES_OBJECTS);
	assert_int_equal(count_samples(&samples, "pagein_thread_faults_total"), FIGURES_THREADS);
	assert_non_null(samples_find(&samples, "pagein_object_uses_total", "object 2555"));
	assert_non_null(samples_find(&samples, "pagein_thread_faults_total", "2555"));
}

/* ---- names -------------------------------------------------------------------------------- */

static void any_name_is_a_label(void **state)
{
	static const struct {
		const char *name, *shown;
	} cases[] = {
		{"plain", "plain"},
		{"a\"b\\c", "a\"b\\c"},
		{"{x=\"1\"} 2", "{x=\"1\"} 2"},
		{"line\nfeed\r\t\x7f", "line%0Afeed%0D%09%7F"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"caf\xe9", "caf%E9"},
		{"\xc2\x9b[2J", "%C2%9B[2J"}, /* a terminal's command */
		{"\xed\xa0\x80\xf0\x9f\x98", "%ED%A0%80%F0%9F%98"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup_free struct figures *figures = figures_create(FIGURES_MOUNT);
		struct samples samples cleanup(samples_finish) = {0};

		figures_add_object(figures, cases[i].name, &(struct object_figures){.uses = 5});
		put_back(figures, &samples);
		assert_true(
			samples_number(&samples, "pagein_object_uses_total", cases[i].shown) == 5);
	}
}

/* They are one where they are equal as shown: no series comes twice. */
static void names_that_look_alike_are_one(void **state)
{
	cleanup_free struct figures *figures = figures_create(FIGURES_MOUNT);
	struct samples samples cleanup(samples_finish) = {0};
	char name[2 * OBJECT_NAME_MAX];

	(void)state;
	memset(name, '\xe9', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	figures_add_object(figures, name, &(struct object_figures){.uses = 1});
	name[sizeof name - 2] = 'x';
	figures_add_object(figures, name, &(struct object_figures){.uses = 1});
	figures_add_object(figures, "\n", &(struct object_figures){.uses = 1});
	figures_add_object(figures, "%0A", &(struct object_figures){.uses = 1});
	put_back(figures, &samples);
	assert_int_equal(count_samples(&samples, "pagein_object_uses_total"), 2);
	assert_true(samples_number(&samples, "pagein_object_uses_total", "%0A") == 2);
}

/* ---- the reader --------------------------------------------------------------------------- */

#define HEAD "# TYPE a counter\n# HELP a words\n"
#define END "# EOF\n"

static void what_is_not_ours_is_refused(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{END, 0},
		{HEAD END, 0},
		{HEAD "a_total 1\n" END, 0},
		{HEAD "a_total{x=\"\\\\\\\"\"} 1.5\n" END, 0},
		{"# TYPE a_bytes gauge\n# UNIT a_bytes bytes\n# HELP a_bytes w\na_bytes -1\n" END,
			0},
		{"", -EINVAL},
		{"\n" END, -EINVAL},
		{"# EOF", -EINVAL},
		{END "\n", -EINVAL},
		{END END, -EINVAL},
		{HEAD "a_total 1\n", -EINVAL},
		{HEAD "a_total 1" END, -EINVAL},
		{HEAD "a 1\n" END, -EINVAL},
		{HEAD "a_sum 1\n" END, -EINVAL},
		{HEAD "b_total 1\n" END, -EINVAL},
		{HEAD "a_total\n" END, -EINVAL},
		{HEAD "a_total  1\n" END, -EINVAL},
		{HEAD "a_total 1 2\n" END, -EINVAL},
		{HEAD "a_total 1.\n" END, -EINVAL},
		{HEAD "a_total .5\n" END, -EINVAL},
		{HEAD "a_total 1.5.2\n" END, -EINVAL},
		{HEAD "a_total 0x1\n" END, -EINVAL},
		{HEAD "a_total NaN\n" END, -EINVAL},
		{HEAD "a_total +1\n" END, -EINVAL},
		{HEAD "a_total{} 1\n" END, -EINVAL},
		{HEAD "a_total{x=\"1\"}1\n" END, -EINVAL},
		{HEAD "a_total{x=\"1\",y=\"2\"} 1\n" END, -EINVAL},
		{HEAD "a_total{x=\"1} 1\n" END, -EINVAL},
		{HEAD "a_total{x=\"\\n\"} 1\n" END, -EINVAL},
		{HEAD "a_total{x=\"\033\"} 1\n" END, -EINVAL},
		{HEAD "a_total{1=\"\"} 1\n" END, -EINVAL},
		{HEAD HEAD END, -EINVAL},
		{"# TYPE a counter\n" END, -EINVAL},
		{"# TYPE a counter\na_total 1\n" END, -EINVAL},
		{"# TYPE a unknown\n# HELP a w\n" END, -EINVAL},
		{"# TYPE a counter\n# HELP b w\n" END, -EINVAL},
		{"# TYPE a counter\n# UNIT a bytes\n# HELP a w\n" END, -EINVAL},
		{"# HELP a w\n" END, -EINVAL},
		{"#EOF\n", -EINVAL},
		{"a_total 1\n" END, -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct samples samples cleanup(samples_finish) = {0};
		unsigned line;

		if (samples_parse(cases[i].text, strlen(cases[i].text), &samples, &line) !=
			cases[i].err)
			fail_msg("at line %u of:\n%s", line, cases[i].text);
	}
}

static void a_nul_is_refused(void **state)
{
	static const char text[] = HEAD "a_total 1\0\n" END;
	struct samples samples cleanup(samples_finish) = {0};
	unsigned line;

	(void)state;
	assert_int_equal(samples_parse(text, sizeof text - 1, &samples, &line), -EINVAL);
	assert_int_equal(line, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_count_up_to_their_bound),
		cmocka_unit_test(each_name_is_one_and_ends_with_its_unit),
		cmocka_unit_test(each_door_has_its_own),
		cmocka_unit_test(loops_are_added_up),
		cmocka_unit_test(objects_and_threads_are_bounded),
		cmocka_unit_test(any_name_is_a_label),
		cmocka_unit_test(names_that_look_alike_are_one),
		cmocka_unit_test(what_is_not_ours_is_refused),
		cmocka_unit_test(a_nul_is_refused),
	};

	return run_group(tests);
}
