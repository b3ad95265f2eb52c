/* index.h - a directory as nginx's autoindex shows it. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* path is the decoded one of the request. *ret comes from malloc(). */
int origin_index_write(
	int directory_fd, const char *path, bool json, char **ret, size_t *ret_length);
