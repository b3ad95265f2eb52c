/* fixture.c - see fixture.h. */
#include "fixture.h"

#include <errno.h>
#include <unistd.h>

#include "uffd.h"

/* No second requests: many tests count. */
const struct pagein_options quick_options = {
	.size = sizeof quick_options, .timeout_ms = 2000, .hedge_percent = -1};

bool userfaultfd_is_missing(void)
{
	struct uffd_access access;

	uffd_probe(&access);
	if (access.device_err == 0 || access.syscall_err == 0)
		return false;
	fprintf(stderr, "skipped: userfaultfd: %s: needs root, or vm.unprivileged_userfaultfd=1\n",
		strerror(-access.syscall_err));
	return true;
}

void session_start_server(struct session *session, size_t size)
{
	*session = (struct session){
		.fds = count_fds(),
		/* Zeros, unless a test has failed before this one. */
		.before = process_stats(),
	};
	server_start(&session->server);
	local_make(&session->local, &session->server, "data", size, size + 1);
}

void session_open_object(struct session *session, const struct pagein_options *options)
{
	int err = pagein_open(server_url(&session->server, "data"),
		options ? options : &quick_options, &session->object);

	if (err < 0)
		fail_msg("%s", pagein_last_error());
	assert_true(pagein_size(session->object) == session->local.size);
}

void session_map(struct session *session)
{
	session_map_as(session, 0);
}

void session_map_as(struct session *session, unsigned flags)
{
	int err = pagein_map(session->object, 0, 0, flags, &session->map);

	if (err < 0)
		fail_msg("%s", pagein_last_error());
	session->bytes = pagein_address(session->map);
}

void session_open(struct session *session, size_t size, const struct pagein_options *options)
{
	session_start_server(session, size);
	session_open_object(session, options);
	session_map(session);
}

void session_close(struct session *session)
{
	struct pagein_stats stats;

	if (session->map && pagein_length(session->map) > 0)
		assert_int_equal(count_pending_faults(), 0);
	assert_int_equal(pagein_unmap(session->map), 0);
	pagein_close(session->object);
	stats = process_stats();
	assert_true(stats.objects == session->before.objects);
	assert_true(stats.maps == session->before.maps);
	assert_true(stats.resident_bytes == session->before.resident_bytes);
	assert_true(stats.transfers == session->before.transfers);
	assert_true(stats.connections == session->before.connections);
	assert_true(stats.cached_bytes == session->before.cached_bytes);
	assert_true(stats.pinned_bytes == session->before.pinned_bytes);
	local_finish(&session->local);
	server_stop(&session->server);
	assert_int_equal(count_fds(), session->fds);
	if (session->before.objects == 0)
		assert_int_equal(count_threads("pagein", 0), 0);
}

int session_compare(const struct session *session, size_t first, size_t end)
{
	size_t from = first * PAGE, to = end * PAGE;

	if (to > session->local.size)
		to = session->local.size;
	return from < to ? touch_compare(
				   session->bytes + from, session->local.bytes + from, to - from)
			 : 0;
}

struct pagein_stats process_stats(void)
{
	return map_stats(NULL);
}

struct pagein_stats map_stats(struct pagein_map *map)
{
	struct pagein_stats stats;

	assert_int_equal(pagein_stats(map, &stats), 0);
	return stats;
}

bool wait_for_faults(struct pagein_map *map, uint64_t faults)
{
	for (int ms = 0; ms < 10000; ms++) {
		if (map_stats(map).faults >= faults)
			return true;
		usleep(1000);
	}
	return false;
}
