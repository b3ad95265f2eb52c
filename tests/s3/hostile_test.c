/*
 * hostile_test.c - listings that no server should give, from one that does: each ends, with an
 * error and words for it, and what is wrong tells no entry.
 */
#include <errno.h>

#include "fake.h"
#include "source_fixture.h"

#define PAGE(inside)                                                                       \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>"                                       \
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket" \
	"</Name>" inside "</ListBucketResult>"
#define ENCODED "<EncodingType>url</EncodingType>"
#define KEY(key)                                                              \
	"<Contents><Key>" key "</Key><LastModified>2024-05-06T07:08:09.123Z"  \
	"</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size><Owner><ID>o" \
	"</ID></Owner></Contents>"
#define PREFIX(prefix) "<CommonPrefixes><Prefix>" prefix "</Prefix></CommonPrefixes>"
#define MORE(token) \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"

static struct fake fake;
static struct client client;

static int start(void **state)
{
	(void)state;
	s3_environment("key", "secret", NULL);
	fake_start(&fake);
	s3_open(&client, fake.port, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	client_close(&client);
	fake_stop(&fake);
	return 0;
}

static void answer_body(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)request;
	ret->status = 200;
	ret->body = self->context;
}

static int list_body(const char *body, struct listed *listed)
{
	fake_use(&fake, answer_body, (void *)body);
	return s3_list_all(&client, listed, "s3://bucket/");
}

/* ---- what is wrong ------------------------------------------------------------------------ */

static const struct {
	const char *what, *body, *words;
} wrongs[] = {
	{"cut short", "<?xml version=\"1.0\"?><ListBucketResult><Name>bucket</Name>" KEY("a"),
		"list"},
	{"cut in a tag", PAGE(KEY("a")) "<", "list"},
	{"nothing", "", "no element"},
	{"no XML", "<html><body>hello</body>", "list"},
	{"a control character", PAGE(KEY("a&#x01;")), "a key that is no XML"},
	{"half a reference", PAGE(KEY("a&#x01")) "&#x0", "list"},
	{"another document", "<ListAllMyBucketsResult></ListAllMyBucketsResult>",
		"ListBucketResult"},
	{"another bucket", "<ListBucketResult><Name>other</Name>" KEY("a") "</ListBucketResult>",
		"another bucket"},
	{"no bucket", "<ListBucketResult>" KEY("a") "</ListBucketResult>", "list"},
	{"a document type",
		"<!DOCTYPE a [<!ENTITY b \"cccccccccc\">]><ListBucketResult><Name>bucket</Name>" KEY(
			"&b;") "</ListBucketResult>",
		"document type"},
	{"an outer entity",
		"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><ListBucketResult></ListBucketResult>",
		"document type"},
	{"an unknown entity", PAGE(KEY("&nbsp;")), "entity"},
	{"another encoding",
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>bucket\xff</Name>"
		"</ListBucketResult>",
		"invalid token"},
	{"a control character", PAGE(KEY("a\x01")), "invalid token"},
	{"too deep", PAGE("<a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>"),
		"too deep"},
	{"a slash behind the delimiter", PAGE(KEY("a/b")), "not asked for"},
	{"a directory without a slash", PAGE(PREFIX("a")), "not asked for"},
	{"a directory in a directory", PAGE(PREFIX("a/b/")), "not asked for"},
	{"a directory of nothing", PAGE(PREFIX("")), "not asked for"},
	{"no size", PAGE("<Contents><Key>a</Key></Contents>"), "refused"},
	{"a negative size", PAGE("<Contents><Key>a</Key><Size>-1</Size></Contents>"), "refused"},
	{"a huge size", PAGE("<Contents><Key>a</Key><Size>9223372036854775808</Size></Contents>"),
		"refused"},
	{"no key", PAGE("<Contents><Size>1</Size></Contents>"), "refused"},
	{"two keys", PAGE("<Contents><Key>a</Key><Key>b</Key><Size>1</Size></Contents>"),
		"refused"},
	{"more without a token", PAGE("<IsTruncated>true</IsTruncated>"), "no token"},
	{"the same token for ever", PAGE(KEY("a") MORE("t")), "come before"},
};

static void wrong_pages_are_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(wrongs); i++) {
		struct listed listed;
		int err = list_body(wrongs[i].body, &listed);

		if (err != -EPROTO || !strstr(listed.listing.error, wrongs[i].words))
			fail_msg("%s: %d, %s", wrongs[i].what, err, listed.listing.error);
		/* The page that has the token again has told the entries of the first. */
		if (listed.count > 1)
			fail_msg("%s: %zu entries", wrongs[i].what, listed.count);
		listed_finish(&listed);
	}
}

static void a_huge_text_is_an_error(void **state)
{
	static const size_t lengths[] = {1025, 9000, 1 << 20};

	(void)state;
	for (size_t i = 0; i < array_len(lengths); i++) {
		char *name = malloc(lengths[i] + 1), *body;
		struct listed listed;

		assert_non_null(name);
		memset(name, 'n', lengths[i]);
		name[lengths[i]] = '\0';
		assert_true(asprintf(&body, PAGE("%s" KEY("%s")), "", name) > 0);
		assert_int_equal(list_body(body, &listed), -EPROTO);
		assert_int_equal(listed.count, 0);
		listed_finish(&listed);
		free(body);
		free(name);
	}
}

static void a_page_has_a_limit(void **state)
{
	size_t room = (size_t)9 << 20;
	char *body = malloc(room + 1);
	struct listed listed;

	(void)state;
	assert_non_null(body);
	memset(body, ' ', room);
	body[room] = '\0';
	assert_true(list_body(body, &listed) < 0);
	listed_finish(&listed);
	free(body);
}

static char *many_keys(unsigned count)
{
	char *body = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&body, &len);

	fprintf(to, "<ListBucketResult><Name>bucket</Name>");
	for (unsigned i = 0; i < count; i++)
		fprintf(to, KEY("k%u"), i);
	fprintf(to, "</ListBucketResult>");
	fclose(to);
	return body;
}

static void more_keys_than_asked_for_are_an_error(void **state)
{
	char *right = many_keys(1000), *wrong = many_keys(1001);
	struct listed listed;

	(void)state;
	assert_int_equal(list_body(right, &listed), 0);
	assert_int_equal(listed.count, 1000);
	listed_finish(&listed);
	assert_int_equal(list_body(wrong, &listed), -EPROTO);
	assert_int_equal(listed.count, 0);
	listed_finish(&listed);
	free(right);
	free(wrong);
}

/* ---- pages that don't end ----------------------------------------------------------------- */

static void answer_circle(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	unsigned length = *(unsigned *)self->context;

	ret->status = 200;
	ret->free_body = true;
	assert_true(asprintf((char **)&ret->body, PAGE("%s" KEY("k%u") MORE("t%u")), "",
			    request->number, request->number % length) > 0);
}

static void tokens_in_a_circle_are_an_error(void **state)
{
	static unsigned lengths[] = {1, 2, 3, 7, 100};

	(void)state;
	for (size_t i = 0; i < array_len(lengths); i++) {
		unsigned before = fake_count(&fake);
		struct listed listed;

		fake_use(&fake, answer_circle, &lengths[i]);
		assert_int_equal(s3_list_all(&client, &listed, "s3://bucket/"), -EPROTO);
		assert_non_null(strstr(listed.listing.error, "come before"));
		/* Brent: at the latest when the mark is in the circle, and once around. */
		assert_true(fake_count(&fake) - before <= 4 * lengths[i] + 2);
		listed_finish(&listed);
	}
}

static void answer_empty(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	ret->status = 200;
	ret->free_body = true;
	assert_true(asprintf((char **)&ret->body, PAGE("%s" MORE("t%u")), "", request->number) > 0);
}

static void empty_pages_end(void **state)
{
	struct listed listed;

	(void)state;
	fake_use(&fake, answer_empty, NULL);
	assert_int_equal(s3_list_all(&client, &listed, "s3://bucket/"), -EPROTO);
	assert_non_null(strstr(listed.listing.error, "don't end"));
	assert_int_equal(fake_count(&fake), 1000);
	listed_finish(&listed);
}

/* ---- what is odd, and right --------------------------------------------------------------- */

static void directories_and_keys_may_be_mixed_and_come_twice(void **state)
{
	struct listed listed;

	(void)state;
	assert_int_equal(
		list_body(PAGE(PREFIX("b/") KEY("a") PREFIX("a/") KEY("b") KEY("a") PREFIX("/")),
			&listed),
		0);
	assert_int_equal(listed.count, 6);
	assert_string_equal(listed.entries[0].name, "b");
	assert_true(listed.entries[0].is_dir);
	assert_string_equal(listed.entries[0].href, "b/");
	assert_string_equal(listed.entries[1].name, "a");
	assert_false(listed.entries[1].is_dir);
	assert_string_equal(listed.entries[1].etag, "\"e\"");
	assert_int_equal(listed.entries[1].size, 5);
	assert_int_equal(listed.entries[1].mtime, 1714979289);
	assert_string_equal(listed.entries[4].name, "a");
	assert_string_equal(listed.entries[5].name, "");
	assert_string_equal(listed.entries[5].href, "/");
	assert_true(listed.entries[5].is_dir);
	listed_finish(&listed);
}

static void keys_are_decoded_where_the_page_says_so(void **state)
{
	struct listed listed;

	(void)state;
	assert_int_equal(
		list_body(PAGE(KEY("a+b%2Bc%25%01%FF%zz%2") KEY("%00nul") ENCODED), &listed), 0);
	/* A name with a NUL can't be told. */
	assert_int_equal(listed.count, 1);
	assert_string_equal(listed.entries[0].name, "a b+c%\x01\xff%zz%2");
	assert_string_equal(listed.entries[0].href, "a%20b%2Bc%25%01%FF%25zz%252");
	listed_finish(&listed);
	assert_int_equal(list_body(PAGE(KEY("a+b%2B")), &listed), 0);
	assert_string_equal(listed.entries[0].name, "a+b%2B");
	listed_finish(&listed);
}

static void an_etag_that_no_header_can_bear_is_none(void **state)
{
	struct listed listed;

	(void)state;
	assert_int_equal(
		list_body(PAGE("<Contents><Key>a</Key><Size>1</Size><ETag>&quot;a&#13;&#10;"
			       "X: y&quot;</ETag></Contents><Contents><Key>b</Key><Size>1"
			       "</Size><ETag>plain</ETag></Contents>"),
			&listed),
		0);
	assert_null(listed.entries[0].etag);
	assert_null(listed.entries[1].etag);
	listed_finish(&listed);
}

static void answer_empty_then_key(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	ret->status = 200;
	ret->body = strstr(request->target, "continuation-token=a%2Fb%2B%3D&")
			    ? PAGE(KEY("a"))
			    : PAGE(MORE("a/b+="));
}

static void an_empty_page_may_have_a_follower(void **state)
{
	struct listed listed;

	(void)state;
	fake_use(&fake, answer_empty_then_key, NULL);
	assert_int_equal(s3_list_all(&client, &listed, "s3://bucket/"), 0);
	assert_int_equal(listed.count, 1);
	assert_int_equal(fake_count(&fake), 2);
	listed_finish(&listed);
}

static void an_error_with_status_200_is_an_error(void **state)
{
	struct listed listed;

	(void)state;
	assert_true(list_body("<Error><Code>AccessDenied</Code></Error>", &listed) < 0);
	listed_finish(&listed);
}

static void answer_error(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)request;
	ret->status = 403;
	ret->body = self->context;
}

static void an_errors_words_are_harmless(void **state)
{
	struct listed listed;

	(void)state;
	fake_use(&fake, answer_error,
		"<Error><Code>Odd\x1b[2J</Code><Message>a&#10;b &#x9b;c</Message></Error>");
	assert_int_equal(s3_list_all(&client, &listed, "s3://bucket/"), -EACCES);
	for (const char *c = listed.listing.error; *c; c++)
		assert_true(*c >= ' ' && *c < 0x7f);
	listed_finish(&listed);
}

static int cancel_at_entry(struct listing *listing, const struct index_entry *entry)
{
	struct listed *listed = container_of(listing, struct listed, listing);

	(void)entry;
	listed->count++;
	client.source->ops->list_cancel(client.source, listing);
	memset(listing, 0xaa, sizeof *listing);
	return 0;
}

static void a_listing_may_be_cancelled_by_its_entry(void **state)
{
	static const char body[] = PAGE(KEY("a") KEY("b") MORE("t"));
	struct listed listed = {.listing = {.url = "s3://bucket/", .entry = cancel_at_entry}};

	(void)state;
	fake_use(&fake, answer_body, (void *)body);
	assert_int_equal(client.source->ops->list(client.source, &listed.listing), 0);
	while (listed.count == 0)
		client_run_for(&client, 1);
	client_run_for(&client, 50);
	assert_int_equal(listed.count, 1);
}

static int refuse_entry(struct listing *listing, const struct index_entry *entry)
{
	(void)listing;
	(void)entry;
	return -ENOMEM;
}

static void refused_done(struct listing *listing, int err)
{
	struct listed *listed = container_of(listing, struct listed, listing);

	listed->done = true;
	listed->err = err;
}

static void a_listing_ends_when_an_entry_is_refused(void **state)
{
	struct listed listed = {
		.listing = {.url = "s3://bucket/", .entry = refuse_entry, .done = refused_done}};

	(void)state;
	fake_use(&fake, answer_body, (void *)PAGE(KEY("a") MORE("t")));
	assert_int_equal(client.source->ops->list(client.source, &listed.listing), 0);
	client_wait(&client, &listed.done);
	assert_int_equal(listed.err, -ENOMEM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(wrong_pages_are_errors),
		TEST(a_huge_text_is_an_error),
		TEST(a_page_has_a_limit),
		TEST(more_keys_than_asked_for_are_an_error),
		TEST(tokens_in_a_circle_are_an_error),
		TEST(empty_pages_end),
		TEST(directories_and_keys_may_be_mixed_and_come_twice),
		TEST(keys_are_decoded_where_the_page_says_so),
		TEST(an_etag_that_no_header_can_bear_is_none),
		TEST(an_empty_page_may_have_a_follower),
		TEST(an_error_with_status_200_is_an_error),
		TEST(an_errors_words_are_harmless),
		TEST(a_listing_may_be_cancelled_by_its_entry),
		TEST(a_listing_ends_when_an_entry_is_refused),
	};

	return run_group(tests);
}
