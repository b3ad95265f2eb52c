/* scene.c - see scene.h. */
#include "scene.h"

struct endpoints endpoints;
struct engine engine;
struct world world;

static void fetch_done(struct s3_fetch *fetch, int err)
{
	struct fetched *fetched = container_of(fetch, struct fetched, fetch);

	fetched->done = true;
	fetched->err = err;
	assert_int_equal(!fetch->credentials, err < 0);
	if (err == 0) {
		snprintf(fetched->access_key, sizeof fetched->access_key, "%s",
			fetch->credentials->access_key);
		fetched->expires_s = fetch->credentials->expires_s;
	} else
		snprintf(fetched->error, sizeof fetched->error, "%s", fetch->error);
	s3_fetch_finish(fetch);
}

static const char *const secrets[] = {"topsecret", "TOK", "eyToken", "hidden"};

int fetch(struct fetched *fetched, const char *profile)
{
	struct s3_config *config = world_config(profile);

	*fetched = (struct fetched){.fetch = {.loop = engine.loop,
					    .client = engine.client,
					    .config = config,
					    .done = fetch_done}};
	s3_fetch_start(&fetched->fetch);
	assert_false(fetched->done);
	engine_wait(&engine, &fetched->done);
	s3_config_destroy(config);
	for (size_t i = 0; i < array_len(secrets); i++)
		if (strstr(fetched->error, secrets[i]))
			fail_msg("a secret: %s", fetched->error);
	return fetched->err;
}

int scene_set_up(void **state)
{
	(void)state;
	world_make(&world);
	endpoints_reset(&endpoints);
	engine_open(&engine);
	return 0;
}

int scene_tear_down(void **state)
{
	(void)state;
	engine_close(&engine);
	world_finish(&world);
	return 0;
}

void expect_request(unsigned index, const char *start, const char *header)
{
	const char *request = endpoints_request(&endpoints, index);

	if (strncmp(request, start, strlen(start)) != 0 || (header && !strstr(request, header)))
		fail_msg("%u: %s; not %s %s", index, request, start, header);
}

void play(const struct scene *scene)
{
	struct fetched fetched;
	int err;

	endpoints_reset(&endpoints);
	for (size_t i = 0; i < array_len(scene->answers) && scene->answers[i].request; i++)
		endpoints_answer(&endpoints, scene->answers[i].request, scene->answers[i].how,
			scene->answers[i].body);
	err = fetch(&fetched, NULL);
	if (err != scene->err ||
		!strstr(err < 0 ? fetched.error : fetched.access_key, scene->words))
		fail_msg("%d %s %s; not %s", err, fetched.error, fetched.access_key, scene->words);
	if (scene->requests > 0)
		assert_int_equal(endpoints_count(&endpoints), scene->requests);
}
