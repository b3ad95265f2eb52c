/*
 * touch.c - a handler that jumps back to who touched. A signal that nobody expects kills as always.
 */
#include "touch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

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

int touch(const void *address, uint8_t *ret)
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
