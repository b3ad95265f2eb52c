/*
 * gets_test.c - ranged gets of S3 objects: one signature for many, and what is put right when one
 * is refused: the session, the region, the version's name, or nothing.
 */
#include <errno.h>

#include "served.h"

static int get(struct remote *remote, struct range range)
{
	struct got got = {0};
	int err;

	got_start(&got, &client, remote, range);
	err = got_wait(&got);
	/* As core/transfer.c does. */
	for (int i = 0; err < 0 && got.exchange.again && got.exchange.at_no_cost && i < 4; i++) {
		got_finish(&got);
		got_start(&got, &client, remote, range);
		err = got_wait(&got);
	}
	if (err == 0)
		assert_memory_equal(got.bytes, &OBJECT[range.start], (size_t)range_length(range));
	got_finish(&got);
	return err;
}

static void a_signature_serves_many_ranges(void **state)
{
	struct remote *remote;
	char signature[512] = "";

	(void)state;
	fake_use(&fake, answer_object, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	for (uint64_t i = 0; i < 10; i++) {
		const char *line;

		assert_int_equal(get(remote, (struct range){i, i + 4}), 0);
		line = strcasestr(fake_last_head(&fake), "\r\nauthorization: ");
		assert_non_null(line);
		if (i > 0)
			assert_memory_equal(signature, line, strcspn(line + 2, "\r"));
		memcpy(signature, line, sizeof signature - 1);
		assert_non_null(strstr(fake_last_head(&fake), "\r\nIf-Match: " ETAG "\r\n"));
	}
	client_unpin(&client, remote);
	assert_int_equal(fake_count(&fake), 11);
}

static void a_session_that_expires_between_gets_is_renewed(void **state)
{
	static int valid;
	struct remote *remote;

	(void)state;
	use_sessions();
	fake_use(&fake, answer_by_session, &valid);
	fake_store(&fake, &valid, 1);
	remote = client_pin(&client, "s3://bucket/key");
	assert_int_equal(get(remote, (struct range){0, 4}), 0);
	fake_store(&fake, &valid, 2);
	assert_int_equal(get(remote, (struct range){4, 8}), 0);
	/* The probe, the get; the refused get, the check that is refused and repeated, the get. */
	assert_int_equal(fake_count(&fake), 6);
	assert_int_equal(get(remote, (struct range){8, 12}), 0);
	assert_int_equal(fake_count(&fake), 7);
	client_unpin(&client, remote);
}

static void many_gets_of_an_expired_session_wait_for_one_another(void **state)
{
	static int valid;
	struct got gots[8] = {0};
	struct remote *remote;

	(void)state;
	use_sessions();
	fake_use(&fake, answer_by_session, &valid);
	fake_store(&fake, &valid, 1);
	remote = client_pin(&client, "s3://bucket/key");
	fake_store(&fake, &valid, 2);
	for (size_t i = 0; i < array_len(gots); i++)
		got_start(&gots[i], &client, remote, (struct range){i, i + 1});
	for (size_t i = 0; i < array_len(gots); i++) {
		assert_true(got_wait(&gots[i]) < 0);
		assert_true(gots[i].exchange.again && gots[i].exchange.at_no_cost);
		got_finish(&gots[i]);
	}
	for (size_t i = 0; i < array_len(gots); i++)
		got_start(&gots[i], &client, remote, (struct range){i, i + 1});
	/* One is not wanted any more. */
	client.source->ops->get_cancel(client.source, &gots[3].exchange);
	for (size_t i = 0; i < array_len(gots); i++) {
		if (i != 3) {
			assert_int_equal(got_wait(&gots[i]), 0);
			assert_int_equal(gots[i].bytes[0], OBJECT[i]);
		}
		got_finish(&gots[i]);
	}
	client_unpin(&client, remote);
}

/* Refuses what has no If-Match: the check and the gets have one; only probes are let in. */
static void answer_probes_only(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	if (fake_says(request, "If-Match"))
		refuse(ret, 403, "<Error><Code>AccessDenied</Code></Error>");
	else
		serve_object(request, ret);
}

static void a_get_that_is_refused_for_good_fails(void **state)
{
	struct remote *remote;
	unsigned count;

	(void)state;
	fake_use(&fake, answer_probes_only, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	assert_int_equal(get(remote, (struct range){0, 4}), -EACCES);
	/* The probe, the get, the check; and the get again, if the check was faster than this test.
	 */
	count = fake_count(&fake);
	assert_in_range(count, 3, 4);
	/* Not doubted again so soon. */
	assert_int_equal(get(remote, (struct range){0, 4}), -EACCES);
	assert_int_equal(fake_count(&fake), count + 1);
	client_unpin(&client, remote);
}

/* Refuses gets only, not the check, which has one byte: no end, if nobody saw to it. */
static void answer_checks_only(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	if (fake_says(request, "Range: bytes=0-3"))
		refuse(ret, 403, "");
	else
		serve_object(request, ret);
}

static void gets_and_checks_that_disagree_end(void **state)
{
	struct remote *remote;

	(void)state;
	fake_use(&fake, answer_checks_only, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	assert_int_equal(get(remote, (struct range){0, 4}), -EACCES);
	assert_int_equal(fake_count(&fake), 4);
	client_unpin(&client, remote);
}

static void a_remote_may_go_while_it_is_checked(void **state)
{
	struct remote *remote;
	struct got got = {0};

	(void)state;
	fake_use(&fake, answer_checks_only, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	got_start(&got, &client, remote, (struct range){0, 4});
	assert_true(got_wait(&got) < 0);
	got_finish(&got);
	client_unpin(&client, remote);
	client_run_for(&client, 20);
}

static void answer_named_version(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	const int *may_name = self->context;

	if (strstr(request->target, "versionId=") && !*may_name) {
		refuse(ret, 403, "<Error><Code>AccessDenied</Code></Error>");
		return;
	}
	if (strstr(request->target, "versionId="))
		assert_non_null(strstr(request->target, "?versionId=v%2F1%2B"));
	strcpy(ret->headers, "x-amz-version-id: v/1+\r\n");
	serve_object(request, ret);
}

static void a_version_is_named_by_who_may(void **state)
{
	static int may_name;
	struct remote *remote;

	(void)state;
	fake_use(&fake, answer_named_version, &may_name);
	fake_store(&fake, &may_name, true);
	remote = client_pin(&client, "s3://bucket/key");
	assert_string_equal(remote->version.id, "v/1+");
	assert_int_equal(get(remote, (struct range){0, 4}), 0);
	assert_non_null(strstr(fake_last_head(&fake), "?versionId="));
	fake_store(&fake, &may_name, false);
	assert_int_equal(get(remote, (struct range){0, 4}), 0);
	assert_null(strstr(fake_last_head(&fake), "?versionId="));
	client_unpin(&client, remote);
	/* The bucket is known for it. */
	remote = client_pin(&client, "s3://bucket/key");
	assert_int_equal(get(remote, (struct range){0, 4}), 0);
	assert_null(strstr(fake_last_head(&fake), "?versionId="));
	client_unpin(&client, remote);
}

static void answer_other_version(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	snprintf(ret->headers, sizeof ret->headers, "x-amz-version-id: %s\r\n",
		request->number == 1   ? "one"
		: request->number == 2 ? "two"
				       : "null");
	serve_object(request, ret);
}

static void another_version_id_is_another_version(void **state)
{
	struct remote *remote;

	(void)state;
	fake_use(&fake, answer_other_version, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	assert_int_equal(get(remote, (struct range){0, 4}), -ESTALE);
	assert_int_equal(get(remote, (struct range){0, 4}), -ESTALE);
	client_unpin(&client, remote);
	/* A bucket without versions calls them "null". */
	remote = client_pin(&client, "s3://bucket/key");
	assert_string_equal(remote->version.id, "");
	assert_int_equal(get(remote, (struct range){0, 4}), 0);
	assert_null(strstr(fake_last_head(&fake), "versionId"));
	client_unpin(&client, remote);
}

static void a_region_may_change_under_a_remote(void **state)
{
	struct remote *remote;

	(void)state;
	fake_use(&fake, answer_object, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	fake_use(&fake, answer_by_region, "redirect");
	assert_int_equal(get(remote, (struct range){0, 4}), 0);
	assert_non_null(strstr(fake_last_head(&fake), "/eu-west-9/"));
	client_unpin(&client, remote);
}

static void a_remote_needs_no_probe(void **state)
{
	struct version version = {.size = sizeof OBJECT - 1, .mtime_s = -1, .etag = ETAG};
	struct remote *remote;

	(void)state;
	/* Credentials and region are not known yet, either. */
	use_sessions();
	fake_use(&fake, answer_by_region, "redirect");
	assert_int_equal(
		client.source->ops->pin(client.source, "s3://bucket/key", &version, &remote), 0);
	assert_int_equal(get(remote, (struct range){2, 9}), 0);
	client_unpin(&client, remote);
}

static void answer_in_chunks(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	answer_by_session(self, request, ret);
	ret->is_chunked = fake_says(request, "If-Match");
}

static void answers_in_chunks_are_taken_by_libcurl(void **state)
{
	static int valid;
	struct remote *remote;

	(void)state;
	use_sessions();
	fake_use(&fake, answer_in_chunks, &valid);
	fake_store(&fake, &valid, 1);
	remote = client_pin(&client, "s3://bucket/key");
	assert_int_equal(get(remote, (struct range){0, 5}), 0);
	assert_non_null(strcasestr(fake_last_head(&fake), "\r\nauthorization: AWS4-HMAC-SHA256 "));
	assert_non_null(
		strcasestr(fake_last_head(&fake), "\r\nx-amz-security-token: session-1\r\n"));
	assert_non_null(strstr(fake_last_head(&fake), "\r\nIf-Match: " ETAG "\r\n"));
	/* And what is refused on this way is put right, too. */
	fake_store(&fake, &valid, 2);
	assert_int_equal(get(remote, (struct range){5, 11}), 0);
	assert_non_null(
		strcasestr(fake_last_head(&fake), "\r\nx-amz-security-token: session-2\r\n"));
	client_unpin(&client, remote);
}

static void a_bucket_that_moves_keeps_what_waits(void **state)
{
	struct source_options source = {.timeout_ms = 10000, .connections_max = 1, .url = "s3://"};
	struct s3_options s3 = {0};
	struct got gots[4] = {0};
	struct remote *remote;
	char endpoint[64];

	(void)state;
	client_close(&client);
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", fake.port);
	s3.endpoint = endpoint;
	source.s3 = &s3;
	client_open(&client, &source);
	fake_use(&fake, answer_object, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	fake_use(&fake, answer_by_region, "redirect");
	for (size_t i = 0; i < array_len(gots); i++)
		got_start(&gots[i], &client, remote, (struct range){i, i + 1});
	/* One connection: the others are in its queue while the first finds out. */
	for (size_t i = 0; i < array_len(gots); i++) {
		if (i == 2) {
			if (!gots[3].done)
				client.source->ops->get_hurry(client.source, &gots[3].exchange);
			if (!gots[2].done)
				client.source->ops->get_cancel(client.source, &gots[2].exchange);
		} else if (got_wait(&gots[i]) < 0) {
			assert_true(gots[i].exchange.again);
		}
		got_finish(&gots[i]);
	}
	assert_int_equal(get(remote, (struct range){0, 4}), 0);
	client_unpin(&client, remote);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_signature_serves_many_ranges),
		TEST(a_session_that_expires_between_gets_is_renewed),
		TEST(many_gets_of_an_expired_session_wait_for_one_another),
		TEST(a_get_that_is_refused_for_good_fails),
		TEST(gets_and_checks_that_disagree_end),
		TEST(a_remote_may_go_while_it_is_checked),
		TEST(a_version_is_named_by_who_may),
		TEST(another_version_id_is_another_version),
		TEST(a_region_may_change_under_a_remote),
		TEST(a_remote_needs_no_probe),
		TEST(answers_in_chunks_are_taken_by_libcurl),
		TEST(a_bucket_that_moves_keeps_what_waits),
	};

	return run_group(tests);
}
