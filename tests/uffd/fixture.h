/*
 * fixture.h - a server, a file on it, its oracle, and an object and a map of it; and what must be
 * left of all that at the end: nothing.
 */
#pragma once

#include "check.h"
#include "data.h"
#include "pagein.h"
#include "process.h"
#include "server.h"
#include "touch.h"

#define PAGE 4096

struct session {
	struct server server;
	struct local local; /* "data" below the server's root */
	struct pagein_object *object;
	struct pagein_map *map; /* the whole object; NULL: none */
	const uint8_t *bytes;   /* the map's */
	int fds;                /* of this process, before: */
	struct pagein_stats before;
};

/* For main(): does this process get no userfaultfd that serves system calls, too? Says why. */
bool userfaultfd_is_missing(void);

/* options NULL: those of quick_options. */
void session_open(struct session *session, size_t size, const struct pagein_options *options);

/* Give up after two seconds: a test that means to see an error should not wait for it. */
extern const struct pagein_options quick_options;

/* The same in parts: server and file; object; map. */
void session_start_server(struct session *session, size_t size);
void session_open_object(struct session *session, const struct pagein_options *options);
void session_map(struct session *session);
/* The same with pagein_map()'s flags. */
void session_map_as(struct session *session, unsigned flags);

/*
 * Unmaps, closes, and checks that nothing waits, that all gauges are zero, and that no descriptor
 * and no thread is left.
 */
void session_close(struct session *session);

/* Compares pages [first, end) of the whole map with the oracle: as touch_compare(). */
int session_compare(const struct session *session, size_t first, size_t end);

struct pagein_stats process_stats(void);
struct pagein_stats map_stats(struct pagein_map *map);

/* Until so many threads wait in a fault that the library has read; false after ten seconds. */
bool wait_for_faults(struct pagein_map *map, uint64_t faults);
