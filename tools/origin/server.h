/*
 * server.h - the server's own state, shared by its parts. One thread: that of origin_run().
 *
 *	origin.c      the loop: accepts, waits, hands events to connections
 *	connection.c  one connection: receives requests, sends answers, waits where the script says
 *	reply.c       what a request is answered with
 *	answer.c      how that leaves: head, body, times
 *	control.c     /.origin/
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "head.h"
#include "list.h"
#include "request.h"
#include "resource.h"
#include "script.h"
#include "timers.h"

/* Bodies are made and sent in pieces of this size: they stay in the cache, and the calls are few.
 */
#define ORIGIN_PIECE_MAX (256 << 10)

struct origin_stats {
	uint64_t requests;
	uint64_t ranged_requests;
	uint64_t connections_accepted;
	uint64_t connections_open;
	uint64_t body_bytes;
};

struct origin {
	int epoll_fd;
	int listen_fd;
	int stop_fd;
	bool accepting; /* false while there are no descriptors left */
	bool index_json;
	uint16_t port;
	struct list connections;
	struct list ready; /* connections which gave way to others, and have more to send */
	struct timers timers;
	struct resources resources;
	struct script *script;
	struct origin_stats stats;
	time_t date_s; /* that of date_text */
	char date_text[ORIGIN_DATE_SIZE];

	/* Scratch: good until the next request or the next send. */
	struct request request;
	struct head head;
	struct actions actions;
	unsigned char copy[ORIGIN_PIECE_MAX];
};

/* The value of Date. */
const char *origin_date(struct origin *origin);
