/*
 * fallback.h - a ranged get through libcurl's own HTTP, for what connection.c can't do: an answer
 * in chunks, a proxy that does not CONNECT. Slower (a copy and some microseconds more), under the
 * same checks. All on the loop's thread.
 */
#pragma once

#include "client.h"
#include "source.h"

/* exchange->connection is the fallback's while it lasts. 0, and exchange->ops->done() follows;
 * -ENOMEM. */
int fallback_submit(struct client *client, struct source *source, struct exchange *exchange);

/* Forgets one that has not ended. */
void fallback_cancel(struct exchange *exchange);
