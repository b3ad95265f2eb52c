/*
 * answers_test.c - what is done about an answer: another region, another clock, other credentials,
 * again, or nothing. And to whom secrets go.
 */
#include <errno.h>
#include <time.h>

#include "served.h"

/* Any err, and if it is 0, the whole object; words may be NULL. */
static void expect_probe(int expected, const char *words)
{
	static struct probed probed;
	int err = client_probe(&client, &probed, "s3://bucket/key", false);

	if (err != expected || (words && !strstr(probed.probe.error, words)))
		fail_msg("%d, %s", err, probed.probe.error);
	if (err < 0)
		return;
	assert_int_equal(probed.bytes_len, sizeof OBJECT - 1);
	assert_memory_equal(probed.bytes, OBJECT, sizeof OBJECT - 1);
	assert_string_equal(probed.effective_url, "s3://bucket/key");
}

static void expect_head(int expected)
{
	static struct probed probed;

	assert_int_equal(client_probe(&client, &probed, "s3://bucket/key", true), expected);
	if (expected < 0)
		return;
	assert_int_equal(probed.probe.version.size, sizeof OBJECT - 1);
	assert_string_equal(probed.probe.version.etag, ETAG);
}

/* ---- regions ------------------------------------------------------------------------------ */

static void another_region_is_asked(void **state)
{
	static const char *const ways[] = {"redirect", "malformed", "denied"};

	(void)state;
	fake_use(&fake, answer_by_region, NULL);
	for (size_t i = 0; i < array_len(ways); i++) {
		unsigned before = fake_count(&fake);

		fake_use(&fake, fake.answer, (void *)ways[i]);
		expect_probe(0, NULL);
		assert_int_equal(fake_count(&fake) - before, 2);
		/* It is remembered. */
		expect_probe(0, NULL);
		assert_int_equal(fake_count(&fake) - before, 3);
		client_close(&client);
		s3_open(&client, fake.port, NULL);
	}
}

static void a_head_without_words_is_asked_again(void **state)
{
	(void)state;
	fake_use(&fake, answer_by_region, "malformed");
	/* HEAD, the GET that has words, and the one in the right region. */
	expect_head(0);
	assert_int_equal(fake_count(&fake), 3);
	expect_head(0);
	assert_int_equal(fake_count(&fake), 4);
}

static void answer_odd_region(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)request;
	snprintf(ret->headers, sizeof ret->headers,
		"x-amz-bucket-region: %s\r\nLocation: http://127.0.0.1:1/\r\n",
		(const char *)self->context);
	refuse(ret, 301, "<Error><Code>PermanentRedirect</Code></Error>");
}

static void what_is_no_region_is_ignored(void **state)
{
	static const char *const regions[] = {"evil.example/#", "a b", "EU", "", "us-east-1",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	(void)state;
	fake_use(&fake, answer_odd_region, NULL);
	for (size_t i = 0; i < array_len(regions); i++) {
		unsigned before = fake_count(&fake);

		fake_use(&fake, fake.answer, (void *)regions[i]);
		expect_probe(-EREMOTE, "another region");
		assert_int_equal(fake_count(&fake) - before, 1);
	}
}

static void answer_moving(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	snprintf(ret->headers, sizeof ret->headers, "x-amz-bucket-region: region-%u\r\n",
		request->number);
	refuse(ret, 301, "");
}

static void a_bucket_that_moves_on_and_on_is_lost(void **state)
{
	(void)state;
	fake_use(&fake, answer_moving, NULL);
	expect_probe(-EREMOTE, "HTTP 301");
	assert_int_equal(fake_count(&fake), 3);
}

static struct fake other; /* to which nothing may go */

static void answer_elsewhere(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	snprintf(ret->headers, sizeof ret->headers, "Location: http://127.0.0.1:%u%.900s\r\n",
		other.port, request->target);
	refuse(ret, 307, "<Error><Code>TemporaryRedirect</Code></Error>");
}

static void secrets_never_follow_a_redirect(void **state)
{
	struct listed listed;

	(void)state;
	fake_start(&other);
	fake_use(&other, answer_object, NULL);
	fake_use(&fake, answer_elsewhere, NULL);
	expect_probe(-EREMOTE, NULL);
	expect_head(-EREMOTE);
	assert_int_equal(s3_list_all(&client, &listed, "s3://bucket/"), -EREMOTE);
	listed_finish(&listed);
	assert_true(fake_count(&fake) >= 3);
	assert_int_equal(fake_count(&other), 0);
	fake_stop(&other);
}

/* ---- clocks ------------------------------------------------------------------------------- */

/* Its clock is 8 hours ahead, and it is as strict as S3. */
static void answer_by_clock(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	time_t now = time(NULL) + 8 * 3600;
	struct tm tm = {0};
	const char *date = strstr(request->head, "x-amz-date: ");

	(void)self;
	strftime(ret->headers, sizeof ret->headers, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
		gmtime(&now));
	if (!date)
		date = strstr(request->head, "X-Amz-Date: ");
	assert_non_null(date);
	assert_non_null(strptime(date + 12, "%Y%m%dT%H%M%SZ", &tm));
	if (labs(timegm(&tm) - now) <= 900)
		serve_object(request, ret);
	else
		refuse(ret, 403, "<Error><Code>RequestTimeTooSkewed</Code></Error>");
}

static void a_skewed_clock_is_corrected_once(void **state)
{
	struct listed listed;

	(void)state;
	fake_use(&fake, answer_by_clock, NULL);
	expect_probe(0, NULL);
	assert_int_equal(fake_count(&fake), 2);
	expect_probe(0, NULL);
	assert_int_equal(fake_count(&fake), 3);
	(void)s3_list_all(&client, &listed, "s3://bucket/");
	assert_int_equal(fake_count(&fake), 4);
	listed_finish(&listed);
}

static void answer_always(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)request;
	refuse(ret, 403, self->context);
}

static void a_server_that_is_never_content_ends(void **state)
{
	static const struct {
		const char *body, *words;
		unsigned requests;
	} rows[] = {
		{"<Error><Code>RequestTimeTooSkewed</Code></Error>", "clocks differ", 2},
		{"<Error><Code>AccessDenied</Code></Error>", "access denied", 1},
		{"<Error><Code>SignatureDoesNotMatch</Code></Error>", "secret key", 1},
		{"<Error><Code>InvalidAccessKeyId</Code></Error>", "access key", 1},
		{"<Error><Code>SomethingNew</Code><Message>in words</Message></Error>", "in words",
			1},
		{"no XML", "HTTP 403", 1},
		{"", "HTTP 403", 1},
	};

	(void)state;
	fake_use(&fake, answer_always, NULL);
	for (size_t i = 0; i < array_len(rows); i++) {
		unsigned before = fake_count(&fake);

		fake_use(&fake, fake.answer, (void *)rows[i].body);
		expect_probe(-EACCES, rows[i].words);
		assert_int_equal(fake_count(&fake) - before, rows[i].requests);
	}
}

/* ---- credentials -------------------------------------------------------------------------- */

static void an_expired_session_is_renewed_once(void **state)
{
	static int valid;

	(void)state;
	use_sessions();
	fake_use(&fake, answer_by_session, &valid);
	fake_store(&fake, &valid, 1);
	expect_probe(0, NULL);
	assert_int_equal(fake_count(&fake), 1);
	fake_store(&fake, &valid, 2);
	expect_probe(0, NULL);
	assert_int_equal(fake_count(&fake), 3);
	fake_store(&fake, &valid, 1000);
	expect_probe(-EACCES, "expired");
	assert_int_equal(fake_count(&fake), 5);
}

static void answer_unsigned(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	if (strcasestr(request->head, "\r\nauthorization:") ||
		strcasestr(request->head, "\r\nx-amz-date:"))
		refuse(ret, 403, "<Error><Code>InvalidAccessKeyId</Code></Error>");
	else if (strstr(request->target, "/bucket/key"))
		serve_object(request, ret);
	else
		refuse(ret, 403, "<Error><Code>AccessDenied</Code></Error>");
}

static void without_credentials_requests_are_not_signed(void **state)
{
	static struct probed probed;
	struct s3_options options = {.no_sign_request = true};
	struct remote *remote;
	struct got got = {0};

	(void)state;
	fake_use(&fake, answer_unsigned, NULL);
	/* With these keys: no. Told not to sign: yes. */
	expect_probe(-EACCES, "access key");
	client_close(&client);
	s3_open(&client, fake.port, &options);
	expect_probe(0, NULL);
	client_close(&client);
	/* And where there are none: yes; but who is refused then is told what was missing. */
	s3_environment(NULL, NULL, NULL);
	s3_open(&client, fake.port, NULL);
	expect_probe(0, NULL);
	remote = client_pin(&client, "s3://bucket/key");
	got_start(&got, &client, remote, (struct range){3, 6});
	assert_int_equal(got_wait(&got), 0);
	assert_memory_equal(got.bytes, &OBJECT[3], 3);
	got_finish(&got);
	client_unpin(&client, remote);
	assert_int_equal(client_probe(&client, &probed, "s3://bucket/private", false), -EACCES);
	assert_non_null(strstr(probed.probe.error, "none in the environment"));
}

static void the_requester_says_that_it_pays(void **state)
{
	struct s3_options options = {.requester_pays = true};

	(void)state;
	client_close(&client);
	s3_open(&client, fake.port, &options);
	fake_use(&fake, answer_object, NULL);
	expect_probe(0, NULL);
	assert_non_null(
		strcasestr(fake_last_head(&fake), "\r\nx-amz-request-payer: requester\r\n"));
	assert_non_null(strstr(fake_last_head(&fake), "x-amz-request-payer")); /* and signs it */
}

/* ---- what may pass ------------------------------------------------------------------------ */

static void answer_slow_down(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	const int *failures = self->context;

	if ((int)request->number > *failures)
		serve_object(request, ret);
	else
		refuse(ret, 503, "<Error><Code>SlowDown</Code></Error>");
}

static void a_busy_server_is_asked_again(void **state)
{
	static int failures = 2;

	(void)state;
	fake_use(&fake, answer_slow_down, &failures);
	expect_probe(0, NULL);
	assert_int_equal(fake_count(&fake), 3);
	fake_store(&fake, &failures, 1000);
	expect_probe(-EIO, "fewer requests");
	assert_int_equal(fake_count(&fake), 3 + SOURCE_ATTEMPTS);
}

static void answer_whole(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	(void)request;
	ret->status = 200;
	ret->body = OBJECT;
}

static void a_server_without_ranges_is_refused(void **state)
{
	(void)state;
	fake_use(&fake, answer_whole, NULL);
	expect_probe(-ENOTSUP, "does not serve ranges");
}

static void answer_status(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)request;
	ret->status = *(unsigned *)self->context;
	strcpy(ret->headers, "Retry-After: 1\r\n");
}

static void statuses_without_words_have_their_errno(void **state)
{
	static const struct {
		unsigned status;
		int err;
	} rows[] = {
		{404, -ENOENT}, {412, -ESTALE}, {410, -ENOENT}, {401, -EACCES}, {405, -ENOTSUP}};

	(void)state;
	fake_use(&fake, answer_status, NULL);
	for (size_t i = 0; i < array_len(rows); i++) {
		fake_use(&fake, fake.answer, (void *)&rows[i].status);
		expect_probe(rows[i].err, "HTTP");
	}
}

static void a_bucket_is_no_object(void **state)
{
	struct probe probe = {.url = "s3://bucket/"};

	(void)state;
	fake_use(&fake, answer_object, NULL);
	assert_int_equal(client.source->ops->probe(client.source, &probe), -EISDIR);
	probe.url = "s3://bucket";
	assert_int_equal(client.source->ops->probe(client.source, &probe), -EISDIR);
	probe.url = "s3://";
	assert_int_equal(client.source->ops->probe(client.source, &probe), -EINVAL);
	assert_int_equal(fake_count(&fake), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(another_region_is_asked),
		TEST(a_head_without_words_is_asked_again),
		TEST(what_is_no_region_is_ignored),
		TEST(a_bucket_that_moves_on_and_on_is_lost),
		TEST(secrets_never_follow_a_redirect),
		TEST(a_skewed_clock_is_corrected_once),
		TEST(a_server_that_is_never_content_ends),
		TEST(an_expired_session_is_renewed_once),
		TEST(without_credentials_requests_are_not_signed),
		TEST(the_requester_says_that_it_pays),
		TEST(a_busy_server_is_asked_again),
		TEST(a_server_without_ranges_is_refused),
		TEST(statuses_without_words_have_their_errno),
		TEST(a_bucket_is_no_object),
	};

	return run_group(tests);
}
