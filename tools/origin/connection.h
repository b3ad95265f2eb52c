/* connection.h - one connection of a client. One thread. */
#pragma once

#include <stdint.h>

struct origin;
struct timer;
struct list;

/* Takes the descriptor, even when it fails. */
int origin_connection_create(struct origin *origin, int fd);

/* Events of epoll, whose data.ptr is the connection. It may be gone afterwards. */
void origin_connection_event(void *connection, uint32_t events);

/* The same for its timer, and for its node in origin->ready. */
void origin_connection_timer(struct timer *timer);
void origin_connection_ready(struct list *node);

/* By its node in origin->connections. */
void origin_connection_destroy(struct list *node);
