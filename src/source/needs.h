/*
 * needs.h - what the source of a URL needs of this machine: which files, and whether it runs
 * programs. For those who give up all else before they ask a server for anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "source.h"

#define NEEDS_MAX 32

struct need {
	char *path;
	bool is_renewed; /* read again and again; meanwhile another file may take its name */
	bool is_written; /* a directory in which files are made and replaced */
};

struct needs {
	struct need files[NEEDS_MAX]; /* with what every program reads: /etc, say */
	size_t count;
	bool any_file; /* the URL's objects are files, or may be */
	bool programs; /* credential_process */
	bool writes;   /* any of the above is written */
};

/*
 * options as for source_create(); the URL may be as it was given, too. Reads ~/.aws, blocking. What
 * is wrong with that is left to source_create() to tell. -ENOMEM
 */
int needs_find(const struct source_options *options, struct needs *ret);
/* A zeroed one is fine. */
void needs_finish(struct needs *needs);
