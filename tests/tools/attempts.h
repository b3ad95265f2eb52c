/*
 * attempts.h - what sandbox_test.c tries, with the sandbox and without: each attempt gives 0, or
 * the errno. In a child of its own, which may be ruined by it.
 */
#pragma once

#include "check.h"

#include <sys/types.h>
#include <sys/un.h>

#define CHILD_FAILED 250 /* no errno */

/* What the attempts are made on. Made before them. */
struct scene {
	char base[32];
	char secret[64]; /* base/secret: may not be read */
	char needed[96], renewed[96];
	pid_t parent;
	struct sockaddr_un abstract, path; /* somebody listens there */
};
extern struct scene scene;

typedef int attempt(void);

struct row {
	attempt *attempt;
	const char *name;
	int with;     /* in the sandbox: the errno */
	int programs; /* in that of a source which runs programs; -1: as without any */
	int abi;      /* of Landlock; 0: it has nothing to do with that */
	bool unless_sanitized;
};
extern const struct row rows[];
extern const size_t row_count;

attempt read_secret, list_base, write_secret, create_file, read_renewed, execute;
