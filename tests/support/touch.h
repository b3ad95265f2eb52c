/*
 * touch.h - reads and writes of memory that may raise a signal, survived. Any thread; the handlers
 * for SIGBUS and SIGSEGV stay until somebody sets others, as cmocka does after each test.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0, or the number of the signal that a read of *address raised; *ret (may be NULL) is the byte. */
int touch(const void *address, uint8_t *ret);

/*
 * Compares the memory with what it ought to be: 0 when all bytes are equal, -1 when one differs, or
 * the signal.
 */
int touch_compare(const void *address, const void *expected, size_t length);

/* Writes the bytes there: 0, or the signal; some may have been written then. */
int touch_write(void *address, const void *bytes, size_t length);

/* A thread that reads one byte. */
struct toucher {
	pthread_t thread;
	const uint8_t *address;
	int result;
	uint8_t byte;
	bool ended;
};
void toucher_start(struct toucher *self, const uint8_t *address);
/* Its signal, or 0; a thread that still waits after ten seconds fails the test. */
int toucher_join(struct toucher *self);
