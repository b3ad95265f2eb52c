/*
 * run.h - one case of the table: what is opened, what is read, and what came of it.
 *
 * A job's steps run on any thread, one at a time; between them it is the test's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "pagein.h"
#include "table.h"
#include "world.h"

struct job {
	const struct hostile *row;
	enum moment moment;
	enum door door;
	char path[64];    /* the origin's; BUCKET: the prefix. Also the word in logs */
	char place[512];  /* the mount's: a path; else a URL */
	size_t rules_at;  /* its lines in the moment's script, */
	size_t rules_end; /* ... which end before this one */
	/* kept between two steps */
	int fd;
	struct pagein_object *object;
	struct pagein_map *map;
	/* what came of the last step */
	int err;    /* an errno */
	bool wrong; /* bytes or names that are not right */
	bool running;
	char words[512];
	unsigned names;
	double seconds;
};

/* The bytes of the row's object, from offset on. */
void row_bytes(const struct hostile *row, uint64_t offset, void *to, size_t len);
uint64_t row_size(const struct hostile *row);

/* What both doors have: the world's netrc file, TIMEOUT_MS. */
extern struct pagein_options map_options;

/* Opens, and reads at the beginning, in the middle and at the end; closes. */
void step_open(struct job *job);
/* Opens, reads the first page, and keeps it open. */
void step_prepare(struct job *job);
/* Reads, from what is open, where nobody has read yet. */
void step_later(struct job *job);
/* The same again, now that the world is right; opens anew what has changed. Closes. */
void step_heal(struct job *job);

/* Runs the step for each of the jobs, many at a time. */
void run_step(struct job *const *jobs, size_t count, void (*step)(struct job *job));

/* Is there a line in the log that has both? tag NULL: only the words. */
bool log_tells(const char *path, const char *tag, const char *words);
