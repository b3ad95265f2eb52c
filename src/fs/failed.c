/*
 * failed.c - a few ranges, each with an error and an end. Owned by an open file, on its shard's
 * loop; pure, the clock comes in.
 *
 * The kernel's readahead has several reads under way, which fail together, in any order, before it
 * comes back for the first of them: what touches is joined, so that they take one place.
 */
#include "failed.h"

static struct failed_range *failed_place(
	struct failed *failed, struct range range, int err, uint64_t now_ns)
{
	for (unsigned i = 0; i < FAILED_MAX; i++) {
		struct failed_range *one = &failed->ranges[i];

		if (now_ns < one->until_ns && one->err == err && range.start <= one->range.end &&
			one->range.start <= range.end)
			return one;
	}
	failed->ranges[failed->count % FAILED_MAX] = (struct failed_range){.range = range};
	return &failed->ranges[failed->count++ % FAILED_MAX];
}

void failed_note(struct failed *failed, struct range range, int err, uint64_t now_ns)
{
	struct failed_range *one = failed_place(failed, range, err, now_ns);

	if (range.start < one->range.start)
		one->range.start = range.start;
	if (range.end > one->range.end)
		one->range.end = range.end;
	one->err = err;
	one->until_ns = now_ns + FAILED_NS;
}

int failed_find(const struct failed *failed, struct range range, uint64_t now_ns)
{
	for (unsigned i = 0; i < FAILED_MAX; i++) {
		const struct failed_range *one = &failed->ranges[i];

		if (now_ns < one->until_ns && range_overlaps(one->range, range))
			return one->err;
	}
	return 0;
}
