/*
 * replay.h - a trace: who touched what, when. Text, which anything can write, and awk can read:
 *
 *	# a comment
 *	OFFSET LENGTH [TIME_US [THREAD [OBJECT]]]
 *
 * Decimal numbers, separated by spaces or tabs: bytes from the object's start, bytes (not 0),
 * microseconds since the first line's event, any number that names a thread, any
 * that names an object. A line is an access. PAGEIN_TRACE=FILE writes them (core/trace.h).
 * Times don't go back.
 */
#pragma once

#include "order.h"

#define TRACE_ACCESSES_MAX (UINT64_C(64) << 20) /* 1.5 GiB of memory */

/*
 * The accesses of one of its objects; lines that name none are of object 0. To be freed with
 * bench_order_free(). -errno after one line on stderr, which names the file and the line: -EINVAL,
 * -EDOM, -ENODATA, -E2BIG, -ENOMEM, or what open(2) and read(2) say.
 */
int trace_load(const char *path, uint64_t object, struct bench_order *ret);
