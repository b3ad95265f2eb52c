/*
 * table.h - the hostile table: what a server, a network or a disk may do, and what those who read
 * are told then.
 *
 * A row is an input. It is met at up to two moments (by who opens; later, on an open file or a live
 * map) at up to three doors (a mount, a map, `pagein ls`), and each of these is a case, with what
 * it expects: an errno or the right bytes, words in the log or the error, and the longest time that
 * may pass. run.c says how they are run; the rows are in table_*.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "sanitizer.h"

enum moment { AT_OPEN, LATER, MOMENTS };
enum door { DOOR_MOUNT, DOOR_MAP, DOOR_LS, DOORS };

struct expected {
	bool is_case;
	int err;           /* an errno; 0: the bytes (or names) are right */
	const char *words; /* that the log (mount) or the error (others) must have; NULL: any */
	unsigned within_s;
	int or_err; /* this errno is right, too; 0: none */
};

/* What a row's name is of. */
enum subject {
	OBJECT, /* bytes: mount and map */
	INDEX,  /* a web server's directory: mount and ls */
	BUCKET, /* S3's listing of one: the same */
};

struct hostile {
	const char *name;
	/*
	 * Lines of the origin's script (tools/origin/origin.h) for this row's object alone; each
	 * gets `path=` before it unless it has one. @ is the object's path on the origin, or
	 * BUCKET's prefix (@@: an @), {NAME} what world_fill() knows. They hold from before the
	 * opening on (AT_OPEN), or from when the file has been opened and its first page was read
	 * (LATER). Some request must meet one of them.
	 */
	const char *rules;
	struct expected at_open, later;
	/* The map's (or ls's), where it is not what the mount's is. */
	struct expected map_at_open, map_later;

	enum subject subject;
	const char *file; /* of the origin's: what the object is; NULL: "data" */
	/*
	 * Where it is, for the mount through a manifest; NULL: on the origin. {NAME} is what
	 * world_fill() knows: ports, directories.
	 */
	const char *url;
	uint64_t generated; /* the size of a generated object: its bytes are pattern_fill()'s */
	/* Done to the file (its own) when the rules begin to hold. */
	void (*harm)(const char *path);
	/* The listing's page, written to a file, in place of what the origin would make; @ as
	 * above. Or what writes it. */
	const char *page;
	void (*write_page)(FILE *to, const char *prefix);
	unsigned names; /* that a right listing has */
	bool bare;      /* the mount finds it in an index page without sizes and times */
	bool no_map;    /* a map can't meet it */
	bool only_ls;   /* nor can a mount */
	bool alone;     /* holds others up: not among them */
	bool stays;     /* what is wrong can't be put right by another script */
	/*
	 * Wrong bytes under right labels, which nothing in the answer can show: only a checksum
	 * from elsewhere can. Not counted as a case; the row is there so that it is said.
	 */
	bool undetected;
	bool needs_tls, needs_dns;
};

/*
 * How long a case may take at the most, in seconds. At once: a few round trips of a busy machine. A
 * while: the mount and the map try again until TIMEOUT_MS have passed without a page, and the
 * kernel asks up to four times for a page that can't be had. A sanitizer makes all of it slower.
 */
#define SLOWNESS (WITH_SANITIZER ? 4 : 1)
#define TIMEOUT_MS (4000 * SLOWNESS)
#define DEADLINE_MS (2 * TIMEOUT_MS) /* of a read, whatever has come */
#define AT_ONCE_S (20 * SLOWNESS)
#define A_WHILE_S (4 * TIMEOUT_MS / 1000 + AT_ONCE_S)

#define WORKS                               \
	{                                   \
		true, 0, NULL, AT_ONCE_S, 0 \
	}
#define WORKS_OR(err)                         \
	{                                     \
		true, 0, NULL, AT_ONCE_S, err \
	}
#define TAKES_A_WHILE                       \
	{                                   \
		true, 0, NULL, A_WHILE_S, 0 \
	}
#define FAILS(err, words)                      \
	{                                      \
		true, err, words, AT_ONCE_S, 0 \
	}
#define TIMES_OUT(words)                             \
	{                                            \
		true, ETIMEDOUT, words, A_WHILE_S, 0 \
	}
/* Tried again while there is time; whether that or the tries end first is a matter of chance. */
#define GIVES_UP(err, words)                           \
	{                                              \
		true, err, words, A_WHILE_S, ETIMEDOUT \
	}

#define TABLES(X) X(framing_rows) X(object_rows) X(world_rows) X(index_rows) X(bucket_rows)

#define X(name)                             \
	extern const struct hostile name[]; \
	extern const size_t name##_count;
TABLES(X)
#undef X
