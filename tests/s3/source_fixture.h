/*
 * source_fixture.h - an S3 source on the test's own thread (tests/http/fixture.h), with the
 * environment of nobody else; and its listings.
 */
#pragma once

#include "../http/fixture.h"
#include "index.h"
#include "s3_config.h"

/* No AWS_ variable, no ~/.aws, no instance, and these keys (NULL: none). For each test's start. */
void s3_environment(const char *access_key, const char *secret, const char *token);

/* A source whose endpoint is on this port of 127.0.0.1; options may be NULL. */
void s3_open(struct client *client, uint16_t port, const struct s3_options *options);
/* With source_options.wants_digest as given. */
void s3_open_wanting(struct client *client, uint16_t port, bool wants_digest);

struct listed_entry {
	char *name; /* as it is */
	size_t name_length;
	char *href;
	char *etag; /* NULL: none */
	bool is_dir;
	uint64_t size;
	time_t mtime;
};

struct listed {
	struct listing listing;
	struct listed_entry *entries;
	size_t count, room;
	bool done;
	int err;
};

/* Waits; returns its err. */
int s3_list_all(struct client *client, struct listed *listed, const char *url);
/* NULL: there is none. */
const struct listed_entry *listed_find(const struct listed *listed, const char *name, bool is_dir);
void listed_finish(struct listed *listed);
