/*
 * shared.h - the files of the origin that rows name, each with its oracle. Made once, read by any
 * thread.
 */
#pragma once

#include "data.h"
#include "server.h"

#define DATA_BYTES ((size_t)(4 << 20) + 1234)

/* In the directory /shared of the origin. */
void shared_make(const struct server *server);
void shared_finish(void);

/* NULL: "data". */
const struct local *shared_file(const char *name);
