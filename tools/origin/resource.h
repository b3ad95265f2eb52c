/*
 * resource.h - what a path names: a file, a directory or a generated object. One thread.
 *
 * The most recent ones are kept open. A file is looked up by name at each request nevertheless, so
 * that a changed or replaced one is served at once, under another ETag; answers on their way keep
 * the old one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "httpdate.h"
#include "request.h"

enum resource_kind { RESOURCE_FILE, RESOURCE_DIRECTORY, RESOURCE_GENERATED };

struct resource {
	enum resource_kind kind;
	unsigned references;
	int fd; /* of a file or directory; else -1 */
	uint64_t size;
	uint64_t seed;
	struct timespec modified;
	uint64_t device, inode;
	char etag[64];
	char modified_text[ORIGIN_DATE_SIZE];
	size_t path_length;
	char path[];
};

#define ORIGIN_RESOURCES 64

struct resources {
	int root_fd; /* -1: no files */
	struct resource *slots[ORIGIN_RESOURCES];
};

int origin_resources_init(struct resources *resources, const char *root);
void origin_resources_finish(struct resources *resources);

/* A reference for the caller; -ENOENT, -EACCES, ... */
int origin_resource_get(
	struct resources *resources, const char *path, size_t path_length, struct resource **ret);
void origin_resource_put(struct resource *resource); /* NULL is fine */
