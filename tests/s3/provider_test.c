/*
 * provider_test.c - credentials kept: who waits, who does not, when others are fetched, and what
 * happens when the server or the endpoint refuses.
 */
#include "fixture.h"

#include <errno.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "s3_provider.h"

static struct endpoints endpoints;
static struct engine engine;
static struct world world;
static struct s3_config *config;
static struct s3_provider *provider;

#define JSON(id, left)                                                                     \
	"{\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"topsecret\",\"Token\":\"TOK\"," \
	"\"Expiration\":\"@TIME" left "@\"}"

struct want {
	struct s3_credentials_want want;
	struct want *next; /* asked for in done() */
	bool refuses;      /* tells in done() that they have expired */
	bool done;
	int err;
	char access_key[32]; /* "": anonymous */
	uint64_t generation;
};

static void want_start(struct want *want);

static void want_done(struct s3_credentials_want *base, int err)
{
	struct want *want = container_of(base, struct want, want);

	want->done = true;
	want->err = err;
	if (err < 0) {
		assert_null(base->credentials);
		assert_null(strstr(base->error, "topsecret"));
		assert_null(strstr(base->error, "TOK"));
		assert_string_not_equal(base->error, "");
	} else if (base->credentials) {
		snprintf(want->access_key, sizeof want->access_key, "%s",
			base->credentials->access_key);
		want->generation = base->credentials->generation;
	}
	if (want->refuses)
		s3_provider_expired(provider, want->generation);
	if (want->next)
		want_start(want->next);
}

static void want_start(struct want *want)
{
	want->want.done = want_done;
	s3_provider_get(provider, &want->want);
	assert_false(want->done);
}

static int get(struct want *want)
{
	*want = (struct want){.done = false};
	want_start(want);
	engine_wait(&engine, &want->done);
	return want->err;
}

static void expect(const char *access_key)
{
	struct want want;

	if (get(&want) < 0)
		fail_msg("%s", want.want.error);
	assert_string_equal(want.access_key, access_key);
}

static void wait_for_requests(unsigned count)
{
	for (unsigned ms = 0; endpoints_count(&endpoints) < count; ms++) {
		assert_true(ms < 10000);
		engine_run(&engine);
	}
	/* One too many would come now. */
	for (unsigned ms = 0; ms < 20; ms++)
		engine_run(&engine);
	assert_int_equal(endpoints_count(&endpoints), count);
}

static void wait_for_key(const char *access_key)
{
	const struct s3_credentials *credentials;

	for (unsigned ms = 0; !s3_provider_peek(provider, &credentials) ||
			      strcmp(credentials->access_key, access_key) != 0;
		ms++) {
		assert_true(ms < 10000);
		engine_run(&engine);
	}
}

static char logged[4096];

static void keep_line(enum log_level level, const char *line, void *context)
{
	size_t len = strlen(logged);

	(void)level;
	(void)context;
	snprintf(logged + len, sizeof logged - len, "%s\n", line);
}

static void provider_open(const char *profile, bool no_sign_request)
{
	char error[SOURCE_ERROR_MAX];

	if (s3_config_load(
		    &(struct s3_options){.profile = profile, .no_sign_request = no_sign_request},
		    &config, error) < 0)
		fail_msg("%s", error);
	assert_int_equal(s3_provider_create(engine.loop, engine.client, config, &provider), 0);
}

static int setup(void **state)
{
	(void)state;
	world_make(&world);
	endpoints_reset(&endpoints);
	engine_open(&engine);
	logged[0] = '\0';
	log_set_level(LOG_DEBUG);
	log_set_handler(keep_line, NULL);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoints_url(&endpoints, "/c"), 1);
	provider_open(NULL, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	s3_provider_destroy(provider);
	s3_config_destroy(config);
	engine_close(&engine);
	log_set_handler(NULL, NULL);
	assert_null(strstr(logged, "topsecret"));
	assert_null(strstr(logged, "TOK"));
	world_finish(&world);
	return 0;
}

static void one_fetch_for_all_who_wait(void **state)
{
	struct want wants[20] = {{.done = false}};
	const struct s3_credentials *credentials;

	(void)state;
	endpoints_answer(&endpoints, "GET /c", "delay_ms=100", JSON("AK", "+7200"));
	assert_false(s3_provider_peek(provider, &credentials));
	for (size_t i = 0; i < array_len(wants); i++)
		want_start(&wants[i]);
	for (size_t i = 0; i < array_len(wants); i++) {
		engine_wait(&engine, &wants[i].done);
		assert_int_equal(wants[i].err, 0);
		assert_string_equal(wants[i].access_key, "AK");
	}
	assert_int_equal(endpoints_count(&endpoints), 1);
	/* From now on nobody waits. */
	assert_true(s3_provider_peek(provider, &credentials));
	assert_string_equal(credentials->access_key, "AK");
	expect("AK");
	assert_int_equal(endpoints_count(&endpoints), 1);
}

/* Those that came young are given out, and asked for again after a pause only. */
static void young_ones_are_not_asked_for_without_end(void **state)
{
	const struct s3_credentials *credentials;

	(void)state;
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("OLD", "+850"));
	expect("OLD");
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", "delay_ms=100", JSON("NEW", "+7200"));
	assert_true(s3_provider_peek(provider, &credentials));
	assert_string_equal(credentials->access_key, "OLD");
	wait_for_requests(0);
}

/* Whose time comes, by a clock that is corrected: as if hours had gone by. */
static void later(int64_t seconds)
{
	char date[64];
	time_t then = (time_t)(s3_provider_clock(provider) + seconds);

	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&then));
	assert_true(s3_provider_adjust_clock(provider, date));
	assert_in_range(s3_provider_clock(provider), then - 2, then + 2);
}

static void ages(void **state)
{
	const struct s3_credentials *credentials;
	struct want want;

	(void)state;
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("A", "+7200"));
	expect("A");
	/* 12 minutes left. */
	later(7200 - 720);
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", "delay_ms=300", JSON("B", "+14400"));
	expect("A");
	assert_true(s3_provider_peek(provider, &credentials));
	assert_string_equal(credentials->access_key, "A");
	/* Nobody waited, and the others come all the same. */
	wait_for_key("B");
	assert_int_equal(endpoints_count(&endpoints), 1);
	/* 5 minutes left: who asks waits, and has the others. */
	later(7200 + 720 - 300);
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", "delay_ms=50", JSON("C", "+28800"));
	assert_false(s3_provider_peek(provider, &credentials));
	expect("C");
	assert_int_equal(endpoints_count(&endpoints), 1);
	/* None left, and no others to be had. */
	later(28800);
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("D", "+28800"));
	assert_false(s3_provider_peek(provider, &credentials));
	assert_int_equal(get(&want), -EACCES);
	assert_non_null(strstr(want.want.error, "these have expired already"));
}

/* Less than 10 minutes, and the endpoint is down: what is valid goes on, and few ask. */
static void the_endpoint_is_down(void **state)
{
	(void)state;
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("A", "+7200"));
	expect("A");
	later(7200 - 300);
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", "status=500", "topsecret");
	expect("A");
	assert_non_null(
		strstr(logged, "credentials: container: HTTP 500; those from before go on"));
	assert_int_equal(endpoints_count(&endpoints), 3);
	for (unsigned i = 0; i < 20; i++)
		expect("A");
	assert_int_equal(endpoints_count(&endpoints), 3);
}

/* Nothing to give out: a crowd is told the same, after one question. */
static void a_failure_is_told_to_all(void **state)
{
	struct want want;

	(void)state;
	endpoints_answer(&endpoints, "GET /c", "status=500", "");
	assert_int_equal(get(&want), -EIO);
	assert_int_equal(endpoints_count(&endpoints), 3);
	assert_int_equal(get(&want), -EIO);
	assert_string_equal(want.want.error, "credentials: container: HTTP 500");
	assert_int_equal(endpoints_count(&endpoints), 3);
	/* It passes. */
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("A", "+7200"));
	for (unsigned ms = 0; get(&want) < 0; ms++) {
		assert_true(ms < 5000);
		usleep(1000);
	}
	assert_string_equal(want.access_key, "A");
}

static void the_server_says_expired(void **state)
{
	struct want first, second;

	(void)state;
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("A", "+7200"));
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("B", "+7200"));
	get(&first);
	s3_provider_expired(provider, first.generation);
	get(&second);
	assert_string_equal(second.access_key, "B");
	assert_true(second.generation > first.generation);
	/* Others that were signed with the first come late: that is known already. */
	s3_provider_expired(provider, first.generation);
	expect("B");
	assert_int_equal(endpoints_count(&endpoints), 2);
}

/* The same come again: the one who asked is told, and it does not go round in circles. */
static void the_same_come_again(void **state)
{
	struct want want;

	(void)state;
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("A", "+7200"));
	get(&want);
	s3_provider_expired(provider, want.generation);
	assert_int_equal(get(&want), -EACCES);
	assert_non_null(strstr(want.want.error, "they have expired, and there are no others"));
	assert_int_equal(endpoints_count(&endpoints), 2);
	/* A server may have been wrong. */
	assert_int_equal(get(&want), 0);
	assert_string_equal(want.access_key, "A");
	s3_provider_expired(provider, want.generation);
	assert_int_equal(get(&want), -EACCES);
	assert_int_equal(endpoints_count(&endpoints), 2);
}

static void done_may_refuse_and_ask_again(void **state)
{
	struct want again = {.done = false};
	struct want first = {.refuses = true, .next = &again}, second = {.done = false};

	(void)state;
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("A", "+7200"));
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("B", "+7200"));
	want_start(&first);
	want_start(&second);
	engine_wait(&engine, &first.done);
	engine_wait(&engine, &second.done);
	/* It was answered with what there was, and not with nothing, which means "unsigned". */
	assert_string_equal(second.access_key, "A");
	engine_wait(&engine, &again.done);
	assert_string_equal(again.access_key, "B");
}

static void cancelled(void **state)
{
	struct want gone = {.done = false}, stays = {.done = false}, never = {.done = false};

	(void)state;
	s3_provider_cancel(provider, &never.want);
	endpoints_answer(&endpoints, "GET /c", "delay_ms=50", JSON("A", "+7200"));
	want_start(&gone);
	want_start(&stays);
	s3_provider_cancel(provider, &gone.want);
	engine_wait(&engine, &stays.done);
	assert_false(gone.done);
	/* Again, while nothing is fetched; and one that was answered. */
	want_start(&gone);
	s3_provider_cancel(provider, &gone.want);
	s3_provider_cancel(provider, &gone.want);
	s3_provider_cancel(provider, &stays.want);
	for (unsigned ms = 0; ms < 5; ms++)
		engine_run(&engine);
	assert_false(gone.done);
	/* The provider is destroyed in the middle of a fetch. */
	s3_provider_expired(provider, stays.generation);
	want_start(&gone);
	wait_for_requests(2);
	s3_provider_cancel(provider, &gone.want);
}

static void anonymous(void **state)
{
	const struct s3_credentials *credentials;
	struct want want;

	(void)state;
	s3_provider_destroy(provider);
	s3_config_destroy(config);
	provider_open(NULL, true);
	assert_true(s3_provider_peek(provider, &credentials));
	assert_null(credentials);
	assert_int_equal(get(&want), 0);
	assert_null(want.want.credentials);
	assert_string_equal(want.access_key, "");
	assert_int_equal(endpoints_count(&endpoints), 0);
}

/* Those that were young have expired before another fetch was due: nobody is given nothing. */
static void young_ones_that_expire(void **state)
{
	struct want want;

	(void)state;
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("A", "+850"));
	endpoints_answer(&endpoints, "GET /c", NULL, JSON("B", "+7200"));
	expect("A");
	later(1000);
	expect("B");
	/* Nor those whose refresh has failed, and who are refused before the next attempt. */
	later(7200 - 1000 - 300);
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, "GET /c", "status=500", "");
	assert_int_equal(get(&want), 0);
	assert_string_equal(want.access_key, "B");
	s3_provider_expired(provider, want.generation);
	assert_true(get(&want) < 0);
	assert_string_equal(want.access_key, "");
}

/* Somebody writes new keys into the file while a mount goes on. */
static void a_file_that_changes(void **state)
{
	struct want want;

	(void)state;
	world_file(&world, "~/.aws/credentials",
		"[p]\naws_access_key_id=ONE\naws_secret_access_key=topsecret\n");
	s3_provider_destroy(provider);
	s3_config_destroy(config);
	provider_open("p", false);
	get(&want);
	assert_string_equal(want.access_key, "ONE");
	world_file(&world, "~/.aws/credentials",
		"[p]\naws_access_key_id=TWO\naws_secret_access_key=topsecret\n");
	/* They never expire, so nothing is read. */
	expect("ONE");
	s3_provider_expired(provider, want.generation);
	expect("TWO");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_fetch_for_all_who_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(
			young_ones_are_not_asked_for_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(ages, setup, teardown),
		cmocka_unit_test_setup_teardown(the_endpoint_is_down, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_is_told_to_all, setup, teardown),
		cmocka_unit_test_setup_teardown(the_server_says_expired, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_come_again, setup, teardown),
		cmocka_unit_test_setup_teardown(done_may_refuse_and_ask_again, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(anonymous, setup, teardown),
		cmocka_unit_test_setup_teardown(young_ones_that_expire, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_changes, setup, teardown),
	};

	return run_group_with_endpoints(tests, &endpoints);
}
