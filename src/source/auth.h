/*
 * auth.h - who pagein is to a web server: the Authorization field of a request.
 *
 * Asked in this order: "user:password@" in the URL; a bearer token from a file; a netrc file. What
 * is found goes to the server that the URL names and, with a redirect, to no other: it is the
 * caller who knows whether a URL came from a redirect, and does not ask for such.
 *
 * The files are read once, when the source is made; they must be the caller's own (or root's), and
 * nobody else may be able to read them. What is wrong with one is the error of each request that
 * would have needed it. Secrets are never in an error's words, and wiped from memory when they go.
 * On one thread at a time.
 */
#pragma once

#include <stddef.h>

#include "secret.h"
#include "source.h"
#include "url.h"

struct auth;

/*
 * Of options: netrc_file (NULL: ~/.netrc, if there is one and HOME says where; "": none),
 * token_file (NULL or "": none), token_server. Reads the files, so that it may block. -ENOMEM
 */
int auth_create(const struct source_options *options, struct auth **ret);
/* NULL is fine. */
void auth_destroy(struct auth *auth);

/*
 * *ret: "Authorization: ...", for secret_free(), or NULL: nothing is known for this server. What
 * stops a request has words in reason: -EACCES: a file that others can read; -ENOENT and others:
 * one that can't be read; -EINVAL: one that can't be understood; -ENOMEM.
 */
int auth_find(
	const struct auth *auth, const struct url *url, char **ret, char reason[SOURCE_ERROR_MAX]);
