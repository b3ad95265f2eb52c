/*
 * deadline.c - the longest that anybody waits for bytes: the same for both doors.
 *
 * On the core's loop. A transfer has a limit from page to page (transfer.c), so who waits for many
 * pages of a server that drips could wait for ever. Hence another limit, of the wait as a whole:
 * from when somebody began, whatever has come since. A want has one timer, which is set when
 * somebody waits and none did, and else left alone; when it expires, the door says who is due and
 * since when the next one waits. So a wait costs one comparison, and a loop whose waits are short
 * is woken once in a deadline.
 *
 * Who is told does not wait any more, and that is all: the transfer goes on if it brings what
 * others want or what stays, so that the next reader finds more. It ends by its own limit.
 *
 * Rejected: a deadline of transfers, which would fail others' waits that have just begun, and a
 * map's poison stays; a timer for each wait, which faults would pay for.
 */
#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "object_private.h"
#include "url.h"

static void want_expired(struct loop_timer *timer)
{
	struct want *want = container_of(timer, struct want, timer);
	struct object *object = want->object;
	struct core *core = object->core;
	char error[SOURCE_ERROR_MAX];
	const struct failure failure = {.err = -ETIMEDOUT, .passes = true, .error = error};
	uint64_t since_ns;

	snprintf(error, sizeof error, "get: %s: not all of it has come within %ju ms",
		url_tell(object->remote->url).text, (uintmax_t)(core->deadline_ns / NS_PER_MS));
	since_ns = want->late(want, clock_now_ns() - core->deadline_ns, &failure);
	/* If nobody waits, the want may be gone. */
	if (since_ns > 0)
		object_begin_wait(object, want, since_ns);
}

void object_begin_wait(struct object *object, struct want *want, uint64_t since_ns)
{
	struct core *core = object->core;

	if (want->timer.slot)
		return;
	want->object = object;
	want->timer.expired = want_expired;
	loop_timer_set(core->loop, &want->timer, since_ns + core->deadline_ns);
}
