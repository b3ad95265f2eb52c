/*
 * list_bench.c - a prefix of 100,000 objects on radosgw: our listing, and `ls` in a mount, beside
 * paging with libcurl, which does nothing with a page but look for its token. In turn, five rounds;
 * medians. And the memory that the mount's process takes for an object of the listing. Its
 * argument: the command.
 *
 *	meson test --benchmark -C build s3-list
 */
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <time.h>

#include "clock.h"
#include "door.h"
#include "gateway.h"
#include "source_fixture.h"

#define OBJECTS 100000
#define ROUNDS 5

struct page {
	char *bytes;
	size_t length;
};

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
	struct page *page = context;
	size_t length = size * count;

	page->bytes = realloc(page->bytes, page->length + length + 1);
	assert_non_null(page->bytes);
	memcpy(page->bytes + page->length, bytes, length);
	page->length += length;
	page->bytes[page->length] = '\0';
	return length;
}

/* One page by one kept-alive connection; the next token, malloc'd, or NULL. */
static char *curl_page(CURL *easy, uint16_t port, const char *token)
{
	static const char open[] = "<NextContinuationToken>";
	char *url, *escaped = token ? curl_easy_escape(easy, token, 0) : NULL, *next;
	struct page page = {0};

	assert_true(asprintf(&url,
			    "http://127.0.0.1:%u/many/?%s%s%sdelimiter=%%2F&encoding-type=url&"
			    "list-type=2&max-keys=1000&prefix=dir%%2F",
			    port, token ? "continuation-token=" : "", token ? escaped : "",
			    token ? "&" : "") > 0);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &page);
	assert_int_equal(curl_easy_perform(easy), CURLE_OK);
	assert_non_null(strstr(page.bytes, "<ListBucketResult"));
	next = strstr(page.bytes, open);
	if (next)
		next = strndup(next + sizeof open - 1, strcspn(next + sizeof open - 1, "<"));
	free(page.bytes);
	curl_free(escaped);
	free(url);
	return next;
}

static double curl_pages(uint16_t port)
{
	struct curl_slist *headers = curl_slist_append(
		NULL, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
	CURL *easy = curl_easy_init();
	uint64_t start_ns = clock_now_ns();
	char *token = NULL;

	curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:s3");
	curl_easy_setopt(easy, CURLOPT_USERPWD, "tester-key:tester-secret");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
	do {
		char *next = curl_page(easy, port, token);

		free(token);
		token = next;
	} while (token);
	curl_easy_cleanup(easy);
	curl_slist_free_all(headers);
	return (double)(clock_now_ns() - start_ns) / 1e9;
}

static unsigned entries;

static int count_entry(struct listing *listing, const struct index_entry *entry)
{
	(void)listing;
	(void)entry;
	entries++;
	return 0;
}

static void stop_client(struct listing *listing, int err)
{
	struct listed *listed = container_of(listing, struct listed, listing);

	listed->done = true;
	listed->err = err;
}

static double our_pages(struct client *client)
{
	struct listed listed = {
		.listing = {.url = "s3://many/dir/", .entry = count_entry, .done = stop_client}};
	uint64_t start_ns = clock_now_ns();

	entries = 0;
	assert_int_equal(client->source->ops->list(client->source, &listed.listing), 0);
	while (!listed.done)
		client_run_for(client, 1);
	assert_int_equal(listed.err, 0);
	assert_int_equal(entries, OBJECTS);
	return (double)(clock_now_ns() - start_ns) / 1e9;
}

static int compare(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return difference < 0 ? -1 : difference > 0;
}

/* The process that serves the mount is the one that has it on its command line. */
static size_t mount_bytes(const struct door *door)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	size_t kib = 0;

	assert_non_null(processes);
	while (kib == 0 && (entry = readdir(processes))) {
		char path[300], text[4096] = "";
		FILE *file;

		snprintf(path, sizeof path, "/proc/%.20s/cmdline", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (memmem(text, fread(text, 1, sizeof text - 1, file), door->directory,
			    strlen(door->directory))) {
			fclose(file);
			snprintf(path, sizeof path, "/proc/%.20s/status", entry->d_name);
			file = fopen(path, "re");
			assert_non_null(file);
			while (fgets(text, sizeof text, file))
				(void)sscanf(text, "RssAnon: %zu", &kib);
		}
		fclose(file);
	}
	closedir(processes);
	assert_true(kib > 0);
	return kib * 1024;
}

/* As ls does it: names with their types, and no attributes. */
static double mount_pages(const struct door *door)
{
	uint64_t start_ns = clock_now_ns();
	DIR *directory = opendir(door_path(door, "dir"));
	unsigned count = 0;

	assert_non_null(directory);
	while ((errno = 0, readdir(directory)))
		count++;
	assert_int_equal(errno, 0);
	closedir(directory);
	assert_int_equal(count, OBJECTS + 2);
	return (double)(clock_now_ns() - start_ns) / 1e9;
}

static double median(double *figures)
{
	qsort(figures, ROUNDS, sizeof *figures, compare);
	return figures[ROUNDS / 2];
}

static const char *command;

static void listing_beside_curl(void **state)
{
	double ours[ROUNDS], curls[ROUNDS], mounts[ROUNDS], curl;
	struct gateway gateway;
	size_t before, after = 0;
	struct client client;
	struct relay relay;
	struct door door;

	(void)state;
	gateway_start(&gateway);
	gateway_put(&gateway, "/many", NULL, 0);
	gateway_fill(&gateway, "/many/dir/k", OBJECTS);
	relay_start(&relay, &gateway, "list-type=2");
	s3_environment("tester-key", "tester-secret", NULL);
	s3_open(&client, relay.port, NULL);
	door_open(&door, command, relay.port);
	/* Each opendir(3) asks anew. */
	door_mount(&door, "-o metadata-ttl=0s", "s3://many");
	before = mount_bytes(&door);
	for (int i = 0; i < ROUNDS; i++) {
		curls[i] = curl_pages(relay.port);
		ours[i] = our_pages(&client);
		mounts[i] = mount_pages(&door);
		after = i == 0 ? mount_bytes(&door) : after;
	}
	curl = median(curls);
	printf("%d objects: curl %.2f s, ours %.2f s (%.2f times), ls in a mount %.2f s (%.2f "
	       "times); %u requests a listing; %zu bytes an object\n",
		OBJECTS, curl, median(ours), ours[ROUNDS / 2] / curl, median(mounts),
		mounts[ROUNDS / 2] / curl, relay_count(&relay) / (3 * ROUNDS),
		(after - before) / OBJECTS);
	door_close(&door);
	client_close(&client);
	relay_stop(&relay);
	gateway_stop(&gateway);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(listing_beside_curl)};

	assert_int_equal(argc, 2);
	command = argv[1];
	return run_group(tests);
}
