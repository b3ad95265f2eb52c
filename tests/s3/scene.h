/*
 * scene.h - credentials fetched once, in a world of the test's own: what endpoints answer, and what
 * comes of it. The test's thread; what goes wrong fails the test.
 */
#pragma once

#include "fixture.h"
#include "s3_fetch.h"

extern struct endpoints endpoints;
extern struct engine engine;
extern struct world world;

/* For each test. */
int scene_set_up(void **state);
int scene_tear_down(void **state);

struct fetched {
	struct s3_fetch fetch;
	bool done;
	int err;
	char access_key[64];
	char error[SOURCE_ERROR_MAX];
	int64_t expires_s;
};

/* In the world as it is; returns its err. No secret may be in the words. */
int fetch(struct fetched *fetched, const char *profile);

struct answer {
	const char *request, *how, *body;
};

/* One fetch against up to four answers. */
struct scene {
	struct answer answers[4];
	int err;
	const char *words; /* in the error; or the access key */
	unsigned requests; /* that were made; 0: not known */
};

void play(const struct scene *scene);

/* The request of this index begins so, and has this header; or NULL. */
void expect_request(unsigned index, const char *start, const char *header);
