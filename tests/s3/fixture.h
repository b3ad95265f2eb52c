/*
 * fixture.h - the world that credentials are found in: variables, two files, and endpoints which
 * answer as a test says; and a loop on the test's own thread, which runs while a test waits.
 *
 * Every wait has a limit of 60 s, after which the test fails.
 */
#pragma once

#include "check.h"
#include "s3_config.h"
#include "s3_credentials.h"

/* ---- variables and files ------------------------------------------------------------------- */

struct world {
	char folder[64]; /* removed with the world; HOME */
};

/*
 * No variable of AWS's is set; there are no files; the instance's endpoint is disabled, and has 20
 * seconds, as the container's has: a busy machine is not what tests are about.
 */
void world_make(struct world *world);
void world_finish(struct world *world);

/* "~/.aws/config", "~/.aws/credentials", or any other; NULL text: removed. */
void world_file(const struct world *world, const char *name, const char *text);
/* Its path; good until the fourth call after this one. */
const char *world_path(const struct world *world, const char *name);
/* One "NAME=value" after another, separated by spaces; "~" is the world's folder. */
void world_variables(const struct world *world, const char *settings);

/* Must succeed. */
struct s3_config *world_config(const char *profile);

/* ---- endpoints ----------------------------------------------------------------------------- */

struct endpoints {
	pid_t pid;
	uint16_t port;
};

/* False, with a reason on stderr: there is no Python here. */
bool endpoints_start(struct endpoints *endpoints);
/* Returns the result. */
int endpoints_stop(struct endpoints *endpoints, int result);
/* run_group(); 77 where there is no Python. */
#define run_group_with_endpoints(tests, endpoints) \
	(endpoints_start(endpoints) ? endpoints_stop(endpoints, run_group(tests)) : 77)

/* "http://127.0.0.1:PORT/PATH"; good until the fourth call after this one. */
const char *endpoints_url(const struct endpoints *endpoints, const char *path);

/*
 * One more answer for requests of this method and path, "GET /x": they are given in this order, the
 * last one for ever. `how` has words: "status=500", "delay_ms=1500" (before the head),
 * "date_s=-3600" (the Date header, from now), "close", "want=Header: value" (else 401; must be the
 * last). NULL: 200. In the body, @TIME+N@ is the time in N seconds, and @LAST@ the request's body.
 */
void endpoints_answer(
	const struct endpoints *endpoints, const char *request, const char *how, const char *body);
/* Forgets all answers and requests. */
void endpoints_reset(const struct endpoints *endpoints);
/* How many requests there were; and one of them, "GET /x\nHeader: value\n...\n\nbody". */
unsigned endpoints_count(const struct endpoints *endpoints);
const char *endpoints_request(const struct endpoints *endpoints, unsigned index);

/* ---- the loop ------------------------------------------------------------------------------ */

struct client;
struct loop;

struct engine {
	struct loop *loop;
	struct client *client;
};

void engine_open(struct engine *engine);
/* Checks, too, that no descriptor is left behind. */
void engine_close(struct engine *engine);
void engine_wait(struct engine *engine, const bool *done);
/* For a millisecond. */
void engine_run(struct engine *engine);
