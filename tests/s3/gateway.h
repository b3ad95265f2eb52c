/*
 * gateway.h - radosgw in a process of its own (./radosgw), and what a test puts into it: by libcurl
 * and its signer, which share nothing with the code under test.
 *
 * Users: "tester" (key "tester-key", secret "tester-secret"), who owns what gateway_put() makes,
 * and "stranger", alike. The test's own thread only: what goes wrong fails the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct gateway {
	pid_t pid;
	int input; /* its end is the end of the gateway */
	uint16_t port;
};

/* Ends the program with 77 and a reason when there can't be one. */
void gateway_start(struct gateway *gateway);
void gateway_stop(struct gateway *gateway);

struct gateway_answer {
	long status;
	char *body; /* NUL-terminated; the caller's to free */
	size_t length;
};

/*
 * Any request as the tester; target is percent-encoded: "/bucket/key?acl=". service: "s3" or "sts".
 */
struct gateway_answer gateway_ask(const struct gateway *gateway, const char *method,
	const char *target, const void *body, size_t length, const char *service);

/* The same, which must be answered with 2xx. */
void gateway_put(
	const struct gateway *gateway, const char *target, const void *body, size_t length);

/* Objects PREFIX000000, ... of one byte, many at a time. */
void gateway_fill(const struct gateway *gateway, const char *prefix, unsigned count);

/*
 * A relay in front of the gateway which counts the requests whose head has this text in it.
 * Threads of its own; the signature is the client's, so that both hosts are one.
 */
struct relay {
	const char *text;
	uint16_t port, to;
	int fd;
	unsigned long thread;
	unsigned count; /* relay_count() */
};
void relay_start(struct relay *relay, const struct gateway *gateway, const char *text);
unsigned relay_count(const struct relay *relay);
void relay_stop(struct relay *relay);
