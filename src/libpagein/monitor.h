/*
 * monitor.h - the figures of a process (core/figures.h) for others: a socket DIRECTORY/PID.sock,
 * made only where the environment variable PAGEIN_METRICS=DIRECTORY asks for it.
 *
 * Who connects gets the text, and then the end of the stream; nothing is read from him. The socket
 * is its owner's alone (0600). It has a loop and a thread of its own, so that it may wait for those
 * that serve faults, and they never wait for it.
 *
 * One in a process. All calls with the lock of context.c held, which monitor.c therefore never
 * waits for.
 */
#pragma once

#include <stdbool.h>

struct figures;
struct monitor;

/* Does PAGEIN_METRICS ask for one? */
bool monitor_is_wanted(void);

/* The one that PAGEIN_METRICS asks for. gather, on the monitor's thread: adds what there is; false:
 * not now, soon. NULL: none is asked for, or (with a warning) it could not be made. */
struct monitor *monitor_create(bool (*gather)(struct figures *to));
/* Stops it, and removes the socket. NULL is fine. */
void monitor_destroy(struct monitor *monitor);

/* What is no more has done so much. */
struct figures *monitor_retired(struct monitor *monitor);

/* Around fork(2), while nothing is gathered; NULL is fine. The child gives it up: it belongs to the
 * parent, and so does its socket. */
void monitor_hold(struct monitor *monitor);
void monitor_release(struct monitor *monitor);
void monitor_abandon(struct monitor *monitor);
