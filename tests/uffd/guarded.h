/*
 * guarded.h - sessions with a map that raises SIGBUS, and comparing their pages in a guard.
 *
 * touch.h's functions put handlers of their own where the library's must be.
 */
#pragma once

#include "fixture.h"
#include "guard.h"

/* In a fresh session all of the object is in the cache, and nothing is in the map. */
static inline void session_open_inline(
	struct session *session, size_t size, const struct pagein_options *options, unsigned flags)
{
	guard_forget();
	session_start_server(session, size);
	session_open_object(session, options);
	if (options->cache_bytes > 0) {
		struct pagein_map *map;

		assert_int_equal(pagein_map(session->object, 0, 0, 0, &map), 0);
		assert_int_equal(pagein_populate(map, 0, 0, -1), 0);
		pagein_unmap(map);
	}
	assert_int_equal(
		pagein_map(session->object, 0, 0, PAGEIN_INLINE | flags, &session->map), 0);
	session->bytes = pagein_address(session->map);
	server_reset_counts(&session->server);
}

struct comparing {
	const uint8_t *bytes, *expected;
	size_t length;
};

static inline int compare_all(void *context)
{
	const struct comparing *comparing = context;

	return memcmp(comparing->bytes, comparing->expected, comparing->length) != 0;
}

/* 0: equal; 1: not; -errno: a page could not be had. */
static inline int compare_at(
	const struct session *session, const uint8_t *bytes, size_t first, size_t end)
{
	size_t from = first * PAGE,
	       to = end * PAGE < session->local.size ? end * PAGE : session->local.size;
	struct comparing comparing = {bytes, session->local.bytes + from, to - from};

	return pagein_guard(compare_all, &comparing);
}

static inline int compare(const struct session *session, size_t first, size_t end)
{
	return compare_at(session, session->bytes + first * PAGE, first, end);
}
