/*
 * touch.c - a handler that jumps back to who touched. A signal that nobody expects kills as always.
 */
#include "touch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

static _Thread_local sigjmp_buf back;
static _Thread_local volatile bool expected;

static void on_signal(int number)
{
	if (expected)
		siglongjmp(back, number);
	signal(number, SIG_DFL);
}

static void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/* What was a map's when it was decided to touch it may be anything now: a sanitizer's heap, too. */
__attribute__((no_sanitize("address", "thread"))) int touch(const void *address, uint8_t *ret)
{
	volatile uint8_t byte;
	int number;

	catch_signals();
	number = sigsetjmp(back, 1);
	if (number == 0) {
		expected = true;
		byte = *(const volatile uint8_t *)address;
		if (ret)
			*ret = byte;
	}
	expected = false;
	return number;
}

int touch_compare(const void *address, const void *wanted, size_t length)
{
	volatile int result = -1;
	int number;

	catch_signals();
	number = sigsetjmp(back, 1);
	if (number == 0) {
		expected = true;
		result = memcmp(address, wanted, length) ? -1 : 0;
	} else {
		result = number;
	}
	expected = false;
	return result;
}

int touch_write(void *address, const void *bytes, size_t length)
{
	int number;

	catch_signals();
	number = sigsetjmp(back, 1);
	if (number == 0) {
		expected = true;
		memcpy(address, bytes, length);
	}
	expected = false;
	return number;
}

static void *touch_in_thread(void *context)
{
	struct toucher *self = context;

	self->result = touch(self->address, &self->byte);
	__atomic_store_n(&self->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

void toucher_start(struct toucher *self, const uint8_t *address)
{
	*self = (struct toucher){.address = address};
	assert_int_equal(pthread_create(&self->thread, NULL, touch_in_thread, self), 0);
}

int toucher_join(struct toucher *self)
{
	for (int ms = 0; ms < 10000 && !__atomic_load_n(&self->ended, __ATOMIC_ACQUIRE); ms++)
		usleep(1000);
	if (!__atomic_load_n(&self->ended, __ATOMIC_ACQUIRE))
		fail_msg("a thread still waits in its fault");
	pthread_join(self->thread, NULL);
	return self->result;
}
