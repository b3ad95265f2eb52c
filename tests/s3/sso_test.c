/*
 * sso_test.c - single sign-on: which token is taken from the cache, what is asked for with it, when
 * it is renewed and how that is left in the cache, and each failure's words. That botocore does the
 * same is botocore_sso_test.py's business.
 */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "scene.h"

#define ROLE "sso_account_id = 123456789012\nsso_role_name = Read+Only\n"
#define LOGIN "sso_start_url = https://x.example/start\nsso_region = eu-west-3\n"
#define SESSION "[default]\nsso_session = corp\n" ROLE "[sso-session corp]\n" LOGIN
#define OF_OLD "[default]\n" ROLE LOGIN
/* sha1sum of "corp" and of the start URL. */
#define SESSION_FILE "~/.aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json"
#define OF_OLD_FILE "~/.aws/sso/cache/80c7f57c51e0449101de09ef74138a588ea0d4a6.json"

#define LASTS "\"expiresAt\":\"2099-01-01T00:00:00Z\""
#define ENDED "\"expiresAt\":\"2001-01-01T00:00:00Z\""
#define CLIENT                                                  \
	",\"clientId\":\"cid\",\"clientSecret\":\"topsecret\"," \
	"\"registrationExpiresAt\":\"2099-01-01T00:00:00Z\",\"refreshToken\":\"TOKrefresh\""
#define TOKEN(when) "{\"accessToken\":\"eyToken\"," when "}"

#define KEYS_OF "GET /federation/credentials?role_name=Read%2BOnly&account_id=123456789012"
#define KEYS(ms)                                                                          \
	"{\"roleCredentials\":{\"accessKeyId\":\"AK\",\"secretAccessKey\":\"topsecret\"," \
	"\"sessionToken\":\"TOK\",\"expiration\":" ms "}}"
#define GOOD KEYS("4070908800000")
#define WANT "want=x-amz-sso_bearer_token: eyToken"
#define RENEWED                                                                        \
	"{\"accessToken\":\"eyTokenNew\",\"expiresIn\":3600,\"tokenType\":\"Bearer\"," \
	"\"refreshToken\":\"TOKother\"}"

static void play_with(
	const char *config, const char *file, const char *token, const struct scene *scene)
{
	world_file(&world, "~/.aws/config", config);
	world_file(&world, file, token);
	setenv("AWS_ENDPOINT_URL_SSO", endpoints_url(&endpoints, ""), 1);
	setenv("AWS_ENDPOINT_URL_SSO_OIDC", endpoints_url(&endpoints, "/"), 1);
	play(scene);
}

static void a_login_gives_keys(void **state)
{
	static const struct {
		const char *config, *file, *token;
		struct scene scene;
	} table[] = {
		{OF_OLD, OF_OLD_FILE, TOKEN(LASTS), {{{KEYS_OF, WANT, GOOD}}, 0, "AK", 1}},
		{SESSION, SESSION_FILE, TOKEN(LASTS), {{{KEYS_OF, WANT, GOOD}}, 0, "AK", 1}},
		/* The session is not asked for a renewal that it does not need. */
		{SESSION, SESSION_FILE, TOKEN(LASTS CLIENT), {{{KEYS_OF, WANT, GOOD}}, 0, "AK", 1}},
		{SESSION, SESSION_FILE, TOKEN(LASTS),
			{{{KEYS_OF, "status=500", ""}, {KEYS_OF, WANT, GOOD}}, 0, "AK", 2}},
		{SESSION, SESSION_FILE, TOKEN(LASTS),
			{{{KEYS_OF, "status=401", "topsecret"}}, -EACCES,
				"credentials: SSO: the login is not valid: aws sso login --profile "
				"default",
				1}},
		{SESSION, SESSION_FILE, TOKEN(LASTS),
			{{{KEYS_OF, "status=403", "topsecret"}}, -EACCES,
				"credentials: SSO: no keys for this role: HTTP 403", 1}},
		{SESSION, SESSION_FILE, TOKEN(LASTS),
			{{{KEYS_OF, "status=429", ""}}, -EIO, "credentials: SSO: HTTP 429", 3}},
		{SESSION, SESSION_FILE, TOKEN(LASTS),
			{{{KEYS_OF, NULL, "{\"topsecret\":1}"}}, -EPROTO,
				"credentials: SSO: role's keys: not a JSON object", 3}},
		{SESSION, SESSION_FILE, TOKEN(LASTS),
			{{{KEYS_OF, NULL, KEYS("\"2099\"")}}, -EPROTO,
				"credentials: SSO: role's keys: its Expiration is not a time", 3}},
		{SESSION, SESSION_FILE, TOKEN(LASTS),
			{{{KEYS_OF, NULL, KEYS("1000")}}, -EACCES,
				"credentials: SSO: these have expired already", 1}},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++)
		play_with(table[i].config, table[i].file, table[i].token, &table[i].scene);
}

static void what_no_login_has_left(void **state)
{
	static const struct {
		const char *config, *token, *words;
	} table[] = {
		{SESSION, NULL, "SSO: nobody has logged in: aws sso login --profile default"},
		{SESSION, "", "no token in it: aws sso login"},
		{SESSION, "[]", "no token in it"},
		{SESSION, "{\"accessToken\":\"eyToken\"}", "no token in it"},
		{SESSION, "{\"accessToken\":\"ey\\r\\nToken: x\"," LASTS "}", "no token in it"},
		{SESSION, "{\"accessToken\":\"eyToken\",\"expiresAt\":\"soon\"}", "no token in it"},
		{SESSION, TOKEN(ENDED),
			"SSO: the login has ended: aws sso login --profile default"},
		{"[default]\nsso_session = other\n" ROLE, NULL,
			"profile default: no [sso-session other]"},
		{"[default]\n" ROLE "sso_region = x\n", NULL, "profile default: no sso_start_url"},
		{"[default]\nsso_role_name = r\n" LOGIN, NULL,
			"profile default: no sso_account_id"},
		{"[default]\nsso_account_id = 1\n" LOGIN, NULL,
			"profile default: no sso_role_name"},
		{"[default]\n" ROLE "sso_start_url = u\nsso_region = a.b/\n", NULL,
			"profile default: its sso_region is none"},
		{"[default]\nsso_session = corp\nsso_region = us-east-1\n" ROLE
		 "[sso-session corp]\n" LOGIN,
			NULL, "profile default: its sso_region is not that of its sso-session"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct fetched fetched;
		int err;

		endpoints_reset(&endpoints);
		world_file(&world, "~/.aws/config", table[i].config);
		world_file(&world, SESSION_FILE, table[i].token);
		err = fetch(&fetched, NULL);
		if (!strstr(fetched.error, table[i].words) || (err != -EACCES && err != -EINVAL))
			fail_msg("%zu: %d %s; not %s", i, err, fetched.error, table[i].words);
		assert_int_equal(endpoints_count(&endpoints), 0);
	}
}

/* A token that lasts for ten minutes more. */
static void token_that_ends_soon(char *text, size_t room, const char *more)
{
	time_t when = time(NULL) + 600;
	char date[32];
	struct tm parts;

	gmtime_r(&when, &parts);
	strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts);
	snprintf(text, room,
		"{\"accessToken\":\"eyToken\",\"expiresAt\":\"%s\"%s,\"region\":\"r\"}", date,
		more);
}

static void cached(char *text, size_t room)
{
	FILE *file = fopen(world_path(&world, &SESSION_FILE[2]), "re");

	assert_non_null(file);
	text[fread(text, 1, room - 1, file)] = '\0';
	fclose(file);
}

static void a_token_is_renewed_and_kept(void **state)
{
	static const struct scene scene = {
		{{"POST /token", "want=Content-Type: application/json", RENEWED},
			{KEYS_OF, "want=x-amz-sso_bearer_token: eyTokenNew", GOOD}},
		0, "AK", 2};
	static const char *const kept[] = {"\"accessToken\": \"eyTokenNew\"",
		"\"refreshToken\": \"TOKother\"", "\"clientSecret\": \"topsecret\"",
		"\"region\": \"r\"", "\"registrationExpiresAt\": \"2099-01-01T00:00:00Z\""};
	char token[1024], now[2048];
	struct stat status;

	(void)state;
	token_that_ends_soon(token, sizeof token, CLIENT);
	play_with(SESSION, SESSION_FILE, token, &scene);
	assert_non_null(strstr(endpoints_request(&endpoints, 0),
		"{\"grantType\":\"refresh_token\",\"clientId\":\"cid\",\"clientSecret\":"
		"\"topsecret\",\"refreshToken\":\"TOKrefresh\"}"));
	cached(now, sizeof now);
	for (size_t i = 0; i < array_len(kept); i++)
		if (!strstr(now, kept[i]))
			fail_msg("%s is not in %s", kept[i], now);
	assert_int_equal(stat(world_path(&world, &SESSION_FILE[2]), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	/* The next one finds it, and needs no other. */
	endpoints_reset(&endpoints);
	endpoints_answer(&endpoints, KEYS_OF, NULL, GOOD);
	{
		struct fetched fetched;

		assert_int_equal(fetch(&fetched, NULL), 0);
	}
	assert_int_equal(endpoints_count(&endpoints), 1);
}

/* As long as the old one lasts. */
static void a_renewal_may_fail(void **state)
{
	static const struct scene scenes[] = {
		{{{"POST /token", "status=400", "topsecret"}, {KEYS_OF, WANT, GOOD}}, 0, "AK", 2},
		/* libcurl may try that once more by itself. */
		{{{"POST /token", "close", ""}, {KEYS_OF, WANT, GOOD}}, 0, "AK", 0},
		{{{"POST /token", NULL, "{}"}, {KEYS_OF, WANT, GOOD}}, 0, "AK", 2},
		{{{"POST /token", NULL, "{\"accessToken\":\"a b\",\"expiresIn\":1}"},
			 {KEYS_OF, WANT, GOOD}},
			0, "AK", 2},
	};
	static const struct scene ended = {{{"POST /token", "status=400", ""}}, -EACCES,
		"credentials: SSO: the login has ended: aws sso login --profile default", 1};
	static const struct scene not_to_be_renewed = {{{KEYS_OF, WANT, GOOD}}, 0, "AK", 1};
	char token[1024];

	(void)state;
	for (size_t i = 0; i < array_len(scenes); i++) {
		token_that_ends_soon(token, sizeof token, CLIENT);
		play_with(SESSION, SESSION_FILE, token, &scenes[i]);
	}
	play_with(SESSION, SESSION_FILE, TOKEN(ENDED CLIENT), &ended);
	token_that_ends_soon(token, sizeof token, "");
	play_with(SESSION, SESSION_FILE, token, &not_to_be_renewed);
	token_that_ends_soon(token, sizeof token, CLIENT);
	play_with(OF_OLD, OF_OLD_FILE, token, &not_to_be_renewed);
}

/* The new token serves; the old file is whole, and nothing is beside it. */
static void the_cache_can_not_be_written(void **state)
{
	static const struct scene scene = {
		{{"POST /token", NULL, RENEWED},
			{KEYS_OF, "want=x-amz-sso_bearer_token: eyTokenNew", GOOD}},
		0, "AK", 2};
	struct rlimit before, short_files;
	char token[1024], now[2048];

	(void)state;
	token_that_ends_soon(token, sizeof token, CLIENT);
	world_file(&world, "~/.aws/config", SESSION);
	world_file(&world, SESSION_FILE, token);
	setenv("AWS_ENDPOINT_URL_SSO", endpoints_url(&endpoints, ""), 1);
	setenv("AWS_ENDPOINT_URL_SSO_OIDC", endpoints_url(&endpoints, ""), 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	short_files = (struct rlimit){.rlim_cur = 100, .rlim_max = before.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &short_files), 0);
	play(&scene);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	cached(now, sizeof now);
	assert_string_equal(now, token);
	/* The folder goes only if there is nothing else. */
	world_file(&world, SESSION_FILE, NULL);
	assert_int_equal(rmdir(world_path(&world, ".aws/sso/cache")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_login_gives_keys, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			what_no_login_has_left, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			a_token_is_renewed_and_kept, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(a_renewal_may_fail, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			the_cache_can_not_be_written, scene_set_up, scene_tear_down),
	};

	return run_group_with_endpoints(tests, &endpoints);
}
