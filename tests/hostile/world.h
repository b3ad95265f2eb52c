/*
 * world.h - the servers that the table is run against, and the mounts and URLs that lead to them.
 *
 *	origin		plain HTTP, obeys the script; its files are below world.root
 *	relays		TLS in front of the origin, each wrong in its own way (tls.py)
 *	names		a name server of ours, for *.test (names.c); needs root
 *	mute, dead	a port that takes connections and says nothing; one that nobody listens on
 *
 * The test's own thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "server.h"

#define PASSWORD "s3cret-w0rd" /* of the netrc file that both doors have; nobody may tell it */

struct mount {
	char point[96], log[96];
	pid_t pid;
};

struct world {
	struct server origin;
	struct server relays;   /* tls.py; pid 0: none */
	int relays_in;          /* its stdin */
	char relay_ports[2048]; /* lines "NAME PORT" */
	bool has_names;
	int mute;
	uint16_t mute_port, dead_port;
	char base[64]; /* mounts, logs, files that no server shows */
	char netrc[96];
	struct mount web, manifest, bucket, files; /* their points are there, empty */
};

void world_open(struct world *world);
/* Nothing runs and nothing is mounted any more. */
void world_close(struct world *world);

/* From now on relays of the names "NAME-later" are wrong, too; those connected are cut off. */
void world_turn(struct world *world);

/*
 * Copies text with each {NAME} replaced: {origin}, {mute}, {dead}: a port; {root}, {base}: a
 * directory; else a relay's port.
 */
void world_fill(const struct world *world, const char *text, char *to, size_t size);

/* `pagein mount` in the foreground, with its words in mount->log; options as for -o. */
void mount_start(
	const struct world *world, struct mount *mount, const char *source, const char *options);
void mount_stop(struct mount *mount);

/* A new file; its parent exists. */
FILE *file_create(const char *path);

/* ---- names.c ------------------------------------------------------------------------------- */

/*
 * Makes this process, and those that it starts, ask a name server of ours; false, with the reason
 * on stderr: that is not possible here. Before other threads are started.
 */
bool names_start(void);
