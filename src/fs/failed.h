/*
 * failed.h - reads of a file that have failed a moment ago.
 *
 * The kernel asks for a page that could not be read again, two to four times: its readahead first,
 * then the page alone, for a fault once more. Each would wait for the whole deadline. So what has
 * failed fails with the same error for FAILED_NS, without a request, and is fetched again after
 * that. On the loop of the file's shard. Zeroed memory is none.
 */
#pragma once

#include <stdint.h>

#include "range.h"

#define FAILED_NS (UINT64_C(2) * 1000000000) /* the kernel comes back in microseconds */
#define FAILED_MAX 4                         /* places of a file, the oldest goes */

struct failed {
	struct failed_range {
		struct range range;
		uint64_t until_ns;
		int err;
	} ranges[FAILED_MAX];
	unsigned count; /* noted so far; 0: nothing has ever failed */
};

void failed_note(struct failed *failed, struct range range, int err, uint64_t now_ns);

/* The error of what has failed lately in the range; 0: nothing. */
int failed_find(const struct failed *failed, struct range range, uint64_t now_ns);
