/*
 * fake.h - an S3 server that says what the test tells it to: for answers that no real one gives.
 *
 * It listens on 127.0.0.1 and takes one request from each connection, in threads of its own; what
 * to answer is decided by a function, one call at a time. It checks nothing by itself.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_HEAD_MAX 16384

struct fake_request {
	unsigned number; /* from 1 on */
	bool is_head;
	char target[8192]; /* "/bucket/?list-type=2..." */
	char head[FAKE_HEAD_MAX + 1];
};

struct fake_answer {
	unsigned status;
	char headers[1024]; /* lines "Name: value\r\n" besides the length */
	const char *body;   /* NULL: none; or malloc'd: */
	bool free_body;
	bool is_chunked; /* the body in two chunks, without a length before it */
};

struct fake {
	/* Of fake_use(); called by one thread at a time. */
	void (*answer)(
		struct fake *self, const struct fake_request *request, struct fake_answer *ret);
	void *context;
	/* its own */
	int fd;
	uint16_t port;
	pthread_t thread;
	pthread_mutex_t lock;
	unsigned requests; /* fake_count() */
	unsigned serving;
	char last_head[FAKE_HEAD_MAX + 1];
	char told_head[FAKE_HEAD_MAX + 1]; /* fake_last_head() */
};

void fake_start(struct fake *fake);
void fake_stop(struct fake *fake);

/* What answers from now on, and its context. */
void fake_use(struct fake *fake,
	void (*answer)(
		struct fake *self, const struct fake_request *request, struct fake_answer *ret),
	void *context);

/* *place = value, of something that the answering function reads. */
void fake_store(struct fake *fake, int *place, int value);

/* The head of the newest request; good until the next call. */
const char *fake_last_head(struct fake *fake);

/* Requests so far. */
unsigned fake_count(struct fake *fake);

/* Is this in the request's head? */
bool fake_says(const struct fake_request *request, const char *text);
