/*
 * resource.c - from a path to something that can be sent.
 *
 * One thread. Resources are counted; a table indexed by the path's hash holds one reference to the
 * last one with that hash. A hit costs one fstatat() in place of open, fstat and close.
 */
#include "resource.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "units.h"

#define GENERATED_PREFIX "/generated/"
/* Generated objects never change: 2020-01-01. */
#define GENERATED_MODIFIED 1577836800

int origin_resources_init(struct resources *resources, const char *root)
{
	resources->root_fd = -1;
	if (!root)
		return 0;
	resources->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return resources->root_fd < 0 ? -errno : 0;
}

void origin_resources_finish(struct resources *resources)
{
	for (size_t i = 0; i < ORIGIN_RESOURCES; i++)
		origin_resource_put(resources->slots[i]);
	close_fd(&resources->root_fd);
}

void origin_resource_put(struct resource *resource)
{
	if (!resource || --resource->references)
		return;
	close_fd(&resource->fd);
	free(resource);
}

static void resource_put(struct resource **resource)
{
	origin_resource_put(*resource);
}

static struct resource *resource_create(enum resource_kind kind, const char *path, size_t len)
{
	struct resource *resource = calloc(1, sizeof(*resource) + len + 1);

	if (!resource)
		return NULL;
	resource->kind = kind;
	resource->references = 1;
	resource->fd = -1;
	resource->path_length = len;
	memcpy(resource->path, path, len);
	return resource;
}

static int open_generated(const char *path, size_t len, struct resource **ret)
{
	struct resource *resource cleanup(resource_put) = resource_create(
		RESOURCE_GENERATED, path, len);
	char name[64];
	char *dash;

	if (!resource)
		return -ENOMEM;
	path += strlen(GENERATED_PREFIX);
	if (strlen(path) >= sizeof(name))
		return -ENOENT;
	strcpy(name, path);
	dash = strchr(name, '-');
	if (dash)
		*dash++ = '\0';
	if (origin_parse_size(name, &resource->size) || resource->size > INT64_MAX ||
		(dash && origin_parse_number(dash, &resource->seed)))
		return -ENOENT;
	resource->modified.tv_sec = GENERATED_MODIFIED;
	origin_date_format(GENERATED_MODIFIED, resource->modified_text);
	snprintf(resource->etag, sizeof(resource->etag), "\"g%jx-%jx\"", (uintmax_t)resource->seed,
		(uintmax_t)resource->size);
	*ret = steal_pointer(&resource);
	return 0;
}

/* Relative to the root. */
static const char *relative_path(const char *path)
{
	path += strspn(path, "/");
	return *path ? path : ".";
}

static int open_file(struct resources *resources, const char *path, size_t len,
	const struct stat *named, struct resource **ret)
{
	enum resource_kind kind = S_ISDIR(named->st_mode) ? RESOURCE_DIRECTORY : RESOURCE_FILE;
	struct resource *resource cleanup(resource_put) = resource_create(kind, path, len);
	struct stat st;

	if (!resource)
		return -ENOMEM;
	/* A FIFO or a device could block, or do worse. */
	if (!S_ISDIR(named->st_mode) && !S_ISREG(named->st_mode))
		return -EACCES;
	resource->fd = openat(resources->root_fd, relative_path(path),
		O_RDONLY | O_NONBLOCK | O_CLOEXEC | (kind == RESOURCE_DIRECTORY ? O_DIRECTORY : 0));
	if (resource->fd < 0 || fstat(resource->fd, &st) < 0)
		return -errno;
	resource->size = (uint64_t)st.st_size;
	resource->modified = st.st_mtim;
	resource->device = st.st_dev;
	resource->inode = st.st_ino;
	origin_date_format(st.st_mtim.tv_sec, resource->modified_text);
	snprintf(resource->etag, sizeof(resource->etag), "\"%jx-%jx\"",
		(uintmax_t)st.st_mtim.tv_sec * 1000000000 + (uintmax_t)st.st_mtim.tv_nsec,
		(uintmax_t)st.st_size);
	*ret = steal_pointer(&resource);
	return 0;
}

static bool file_is_same(const struct resource *resource, const struct stat *st)
{
	return resource->kind == RESOURCE_FILE && resource->inode == st->st_ino &&
	       resource->device == st->st_dev && resource->size == (uint64_t)st->st_size &&
	       resource->modified.tv_sec == st->st_mtim.tv_sec &&
	       resource->modified.tv_nsec == st->st_mtim.tv_nsec;
}

static size_t path_slot(const char *path, size_t len)
{
	uint32_t hash = 2166136261;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)path[i]) * 16777619;
	return hash % ORIGIN_RESOURCES;
}

int origin_resource_get(
	struct resources *resources, const char *path, size_t path_length, struct resource **ret)
{
	bool generated = !strncmp(path, GENERATED_PREFIX, strlen(GENERATED_PREFIX));
	struct resource **slot = &resources->slots[path_slot(path, path_length)];
	struct resource *found = *slot;
	struct stat st;
	int err;

	if (found && (found->path_length != path_length || memcmp(found->path, path, path_length)))
		found = NULL;
	if (!generated) {
		if (resources->root_fd < 0)
			return -ENOENT;
		if (fstatat(resources->root_fd, relative_path(path), &st, 0) < 0)
			return -errno;
		if (found && !file_is_same(found, &st))
			found = NULL;
	}
	if (!found) {
		err = generated ? open_generated(path, path_length, &found)
				: open_file(resources, path, path_length, &st, &found);
		if (err)
			return err;
		if (found->kind == RESOURCE_DIRECTORY) {
			*ret = found;
			return 0;
		}
		origin_resource_put(*slot);
		*slot = found;
	}
	found->references++;
	*ret = found;
	return 0;
}
