/*
 * trace.h - PAGEIN_TRACE=FILE: who touched what, when, of all objects of the process.
 *
 * Text, a line an access, by the objects' cores in turn:
 *
 *	# object ID SIZE URL
 *	OFFSET LENGTH TIME_US THREAD ID
 *
 * Bytes from the object's start, bytes, microseconds since the trace began, the thread that touched
 * (0: not known; of a mount, the process that reads), the object. A process that has several loops
 * writes each one's in its own order: `sort -s -n -k3` makes one of them. `pagein bench` plays it.
 *
 * A FILE that is there already is left alone: FILE.PID is written then, as by each child that
 * fork(2) makes. Nothing is traced in programs that run with more rights than their user
 * (secure_getenv(3)).
 */
#pragma once

#include <stdint.h>

#include "range.h"

struct core;
struct object;
struct trace_ring;

/* Once for a core, on any thread; NULL: there is no trace, or it can't be written, which is logged.
 */
struct trace_ring *trace_join(void);
/* What is in the ring will be written. NULL is fine. */
void trace_leave(struct trace_ring *ring);

/* A new object of a core that has a ring; its number, from 0. */
uint32_t trace_object(const char *url, uint64_t size);

/* On the core's loop. Without a trace, a test of a pointer; with one, a clock and 40 bytes. */
void trace_access(struct object *object, struct range range, int32_t thread);
