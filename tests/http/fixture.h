/*
 * fixture.h - a source (HTTP's, unless the options name another) whose loop runs on the test's own
 * thread, only while a test waits.
 *
 * Every wait has a limit of 20 s, after which the test fails.
 */
#pragma once

#include "check.h"
#include "data.h"
#include "loop.h"
#include "server.h"
#include "source.h"

struct client {
	struct loop *loop;
	struct source *source;
};

/* options NULL: HTTP, one second for everything. */
void client_open(struct client *client, const struct source_options *options);
void client_close(struct client *client);

/* Runs the loop until *done; or for so long. */
void client_wait(struct client *client, const bool *done);
void client_run_for(struct client *client, unsigned ms);

/* A probe with a copy of its answer. */
struct probed {
	struct probe probe;
	struct client *client;
	bool done;
	int err;
	char effective_url[512];
	uint8_t bytes[PROBE_BYTES_MAX];
	size_t bytes_len;
};
/* url must live until the end; wait with client_wait(client, &probed->done). */
void client_probe_start(
	struct client *client, struct probed *probed, const char *url, bool head_only);
/* Waits, too; returns its err. */
int client_probe(struct client *client, struct probed *probed, const char *url, bool head_only);
/* The same of the first PROBE_BYTES_MAX. */
int client_probe_more(struct client *client, struct probed *probed, const char *url);

/* Probes and pins; fails the test when that fails. */
struct remote *client_pin(struct client *client, const char *url);
void client_unpin(struct client *client, struct remote *remote);

/* A get into memory of its own. */
struct got {
	struct exchange exchange;
	struct client *client;
	bool done;
	int err;
	unsigned pieces;    /* calls of received() */
	uint8_t *bytes;     /* as long as the range */
	uint64_t cancel_at; /* cancelled when so many bytes have come; 0: never */
};
void got_start(struct got *got, struct client *client, struct remote *remote, struct range range);
/* Waits; returns its err. */
int got_wait(struct got *got);
void got_finish(struct got *got);

/* All at once: the err, and whether the bytes are those of the file. */
int client_get(struct client *client, struct remote *remote, struct range range,
	const struct local *local);
