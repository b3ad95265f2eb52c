/*
 * refusal_test.c - the kernel and malloc refuse something while a map is made: it fails, and ends.
 *
 * The linker puts the functions below between the library and the C library (-Wl,--wrap).
 */
#include "fixture.h"

#include <errno.h>
#include <sys/epoll.h>

static bool refuse_epoll, refuse_memory;

int __real_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

int __wrap_epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	if (operation == EPOLL_CTL_ADD && __atomic_load_n(&refuse_epoll, __ATOMIC_RELAXED)) {
		errno = ENOSPC;
		return -1;
	}
	return __real_epoll_ctl(epoll_fd, operation, fd, event);
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
	if (!__atomic_load_n(&refuse_memory, __ATOMIC_RELAXED))
		return __real_reallocarray(memory, count, size);
	errno = ENOMEM;
	return NULL;
}

static void a_map_that_epoll_refuses_fails(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, 100000);
	session_open_object(&session, NULL);
	__atomic_store_n(&refuse_epoll, true, __ATOMIC_RELAXED);
	assert_int_equal(pagein_map(session.object, 0, 0, 0, &session.map), -ENOSPC);
	__atomic_store_n(&refuse_epoll, false, __ATOMIC_RELAXED);
	session_map(&session);
	assert_int_equal(session_compare(&session, 0, 25), 0);
	session_close(&session);
}

static void a_map_without_memory_fails(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, 100000);
	session_open_object(&session, NULL);
	__atomic_store_n(&refuse_memory, true, __ATOMIC_RELAXED);
	assert_int_equal(pagein_map(session.object, 0, 0, 0, &session.map), -ENOMEM);
	__atomic_store_n(&refuse_memory, false, __ATOMIC_RELAXED);
	session_map(&session);
	assert_int_equal(session_compare(&session, 0, 25), 0);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_that_epoll_refuses_fails),
		cmocka_unit_test(a_map_without_memory_fails),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
