/*
 * answers_test.c - what is done about an answer: another region, another clock, other credentials,
 * again, or nothing; for requests that are not hot and for ranged gets. And to whom secrets go.
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fake.h"
#include "source_fixture.h"

#define OBJECT "0123456789abcdef"
#define ETAG "\"etag-1\""

static struct fake fake;
static struct client client;
static char directory[64];

static int start(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/pagein-test-XXXXXX");
	assert_non_null(mkdtemp(directory));
	s3_environment("the-key", "the-secret", NULL);
	fake_start(&fake);
	s3_open(&client, fake.port, NULL);
	return 0;
}

static int stop(void **state)
{
	char command[128];

	(void)state;
	client_close(&client);
	fake_stop(&fake);
	snprintf(command, sizeof command, "rm -r %s", directory);
	assert_int_equal(system(command), 0);
	return 0;
}

/* Serves the object, to HEAD and to ranges, as S3 does. */
static void serve_object(const struct fake_request *request, struct fake_answer *ret)
{
	const char *range = strstr(request->head, "Range: bytes=");
	unsigned long first = 0, last = sizeof OBJECT - 2;
	char *body = strdup(OBJECT);

	assert_non_null(body);
	ret->status = 200;
	if (range && sscanf(range, "Range: bytes=%lu-%lu", &first, &last) == 2) {
		last = last < sizeof OBJECT - 2 ? last : sizeof OBJECT - 2;
		memmove(body, body + first, last - first + 1);
		body[last - first + 1] = '\0';
		ret->status = 206;
	}
	snprintf(ret->headers + strlen(ret->headers), sizeof ret->headers - strlen(ret->headers),
		"ETag: " ETAG "\r\nLast-Modified: Mon, 06 May 2024 07:08:09 GMT\r\n");
	if (ret->status == 206)
		snprintf(ret->headers + strlen(ret->headers),
			sizeof ret->headers - strlen(ret->headers),
			"Content-Range: bytes %lu-%lu/%zu\r\n", first, last, sizeof OBJECT - 1);
	ret->body = body;
	ret->free_body = true;
}

static void refuse(struct fake_answer *ret, unsigned status, const char *body)
{
	ret->status = status;
	ret->body = body;
}

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

static void answer_by_region(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	const char *how = self->context;

	if (fake_says(request, "/eu-west-9/s3/aws4_request")) {
		serve_object(request, ret);
		return;
	}
	if (strcmp(how, "redirect") == 0) {
		strcpy(ret->headers, "x-amz-bucket-region: eu-west-9\r\n");
		refuse(ret, 301, "<Error><Code>PermanentRedirect</Code></Error>");
	} else if (strcmp(how, "malformed") == 0) {
		refuse(ret, 400,
			"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-9"
			"</Region></Error>");
	} else {
		strcpy(ret->headers, "X-Amz-Bucket-Region: eu-west-9\r\n");
		refuse(ret, 403, "<Error><Code>AccessDenied</Code></Error>");
	}
}

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

static void answer_nothing(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	serve_object(request, ret);
}

static void secrets_never_follow_a_redirect(void **state)
{
	struct listed listed;

	(void)state;
	fake_start(&other);
	fake_use(&other, answer_nothing, NULL);
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

/* Sessions by a program, a new one each time: "session-1", "session-2", ... */
static void use_sessions(void)
{
	char path[128], *text;
	FILE *file;

	s3_environment(NULL, NULL, NULL);
	snprintf(path, sizeof path, "%s/sessions", directory);
	file = fopen(path, "we");
	fprintf(file,
		"#!/bin/sh\necho >>%s/calls\nn=$(wc -l <%s/calls)\n"
		"echo '{\"Version\":1,\"AccessKeyId\":\"key-'$n'\",\"SecretAccessKey\":\"s\","
		"\"SessionToken\":\"session-'$n'\"}'\n",
		directory, directory);
	fclose(file);
	chmod(path, 0700);
	assert_true(asprintf(&text, "[default]\ncredential_process = %s\n", path) > 0);
	snprintf(path, sizeof path, "%s/config", directory);
	file = fopen(path, "we");
	fputs(text, file);
	fclose(file);
	free(text);
	setenv("AWS_CONFIG_FILE", path, 1);
	client_close(&client);
	s3_open(&client, fake.port, NULL);
}

/* The newest session that is let in; the context. */
static void answer_by_session(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	const char *token = strcasestr(request->head, "x-amz-security-token: session-");

	if (token && strtol(token + 30, NULL, 10) >= *(int *)self->context)
		serve_object(request, ret);
	else
		refuse(ret, 400, "<Error><Code>ExpiredToken</Code></Error>");
}

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
	fake_use(&fake, answer_nothing, NULL);
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
	fake_use(&fake, answer_nothing, NULL);
	assert_int_equal(client.source->ops->probe(client.source, &probe), -EISDIR);
	probe.url = "s3://bucket";
	assert_int_equal(client.source->ops->probe(client.source, &probe), -EISDIR);
	probe.url = "s3://";
	assert_int_equal(client.source->ops->probe(client.source, &probe), -EINVAL);
	assert_int_equal(fake_count(&fake), 0);
}

/* ---- ranged gets -------------------------------------------------------------------------- */

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
	fake_use(&fake, answer_nothing, NULL);
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
	fake_use(&fake, answer_nothing, NULL);
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
	fake_use(&fake, answer_nothing, NULL);
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
