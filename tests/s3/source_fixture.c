/* source_fixture.c - see source_fixture.h. */
#include "source_fixture.h"

#include <unistd.h>

#include "cleanup.h"

void s3_environment(const char *access_key, const char *secret, const char *token)
{
	static const char *const names[] = {"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION",
		"AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"};

	for (size_t i = 0; i < array_len(names); i++)
		unsetenv(names[i]);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_CONFIG_FILE", "/nonexistent", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent", 1);
	setenv("no_proxy", "*", 1);
	if (access_key) {
		setenv("AWS_ACCESS_KEY_ID", access_key, 1);
		setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
	}
	if (token)
		setenv("AWS_SESSION_TOKEN", token, 1);
}

static void open_source(
	struct client *client, uint16_t port, const struct s3_options *options, bool wants_digest)
{
	struct s3_options s3 = options ? *options : (struct s3_options){0};
	char endpoint[64], error[SOURCE_ERROR_MAX] = "";
	struct source_options source = {
		.timeout_ms = 10000,
		.url = "s3://",
		.s3 = &s3,
		.wants_digest = wants_digest,
		.error = error,
	};

	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", port);
	if (!s3.endpoint)
		s3.endpoint = endpoint;
	client_open(client, &source);
	assert_string_equal(error, "");
}

void s3_open(struct client *client, uint16_t port, const struct s3_options *options)
{
	open_source(client, port, options, false);
}

void s3_open_wanting(struct client *client, uint16_t port, bool wants_digest)
{
	open_source(client, port, NULL, wants_digest);
}

static int listed_entry_met(struct listing *listing, const struct index_entry *entry)
{
	struct listed *listed = container_of(listing, struct listed, listing);
	struct listed_entry *to;

	if (listed->count == listed->room) {
		listed->room = listed->room ? 2 * listed->room : 64;
		listed->entries = reallocarray(
			listed->entries, listed->room, sizeof *listed->entries);
		assert_non_null(listed->entries);
	}
	to = &listed->entries[listed->count++];
	*to = (struct listed_entry){
		.name = strdup(entry->name),
		.name_length = entry->name_length,
		.href = strdup(entry->href),
		.etag = entry->etag ? strdup(entry->etag) : NULL,
		.is_dir = entry->is_dir,
		.size = entry->size,
		.mtime = entry->mtime,
	};
	assert_int_equal(strlen(entry->name), entry->name_length);
	return 0;
}

static void listed_done(struct listing *listing, int err)
{
	struct listed *listed = container_of(listing, struct listed, listing);

	listed->done = true;
	listed->err = err;
}

int s3_list_all(struct client *client, struct listed *listed, const char *url)
{
	*listed = (struct listed){
		.listing = {.url = url, .entry = listed_entry_met, .done = listed_done}};
	assert_int_equal(client->source->ops->list(client->source, &listed->listing), 0);
	assert_false(listed->done);
	client_wait(client, &listed->done);
	if (listed->err < 0)
		assert_string_not_equal(listed->listing.error, "");
	return listed->err;
}

const struct listed_entry *listed_find(const struct listed *listed, const char *name, bool is_dir)
{
	for (size_t i = 0; i < listed->count; i++)
		if (strcmp(listed->entries[i].name, name) == 0 &&
			listed->entries[i].is_dir == is_dir)
			return &listed->entries[i];
	return NULL;
}

void listed_finish(struct listed *listed)
{
	for (size_t i = 0; i < listed->count; i++) {
		free(listed->entries[i].name);
		free(listed->entries[i].href);
		free(listed->entries[i].etag);
	}
	free(listed->entries);
	*listed = (struct listed){0};
}
