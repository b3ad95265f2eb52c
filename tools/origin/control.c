/*
 * control.c - what a test asks of the server itself.
 *
 * One thread. Rules do not apply here, so that no script can lock its author out.
 */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "clock.h"
#include "server.h"
#include "text.h"

#define PREFIX "/.origin/"

bool origin_control_wanted(const struct origin *origin)
{
	return !strncmp(origin->request.path, PREFIX, strlen(PREFIX));
}

static int answer_stats(struct origin *origin, struct answer *answer)
{
	const struct origin_stats *stats = &origin->stats;
	char *text;
	int err = text_print(&text,
		"{\"requests\": %ju, \"ranged_requests\": %ju, \"connections_accepted\": %ju, "
		"\"connections_open\": %ju, \"body_bytes\": %ju}\n",
		(uintmax_t)stats->requests, (uintmax_t)stats->ranged_requests,
		(uintmax_t)stats->connections_accepted, (uintmax_t)stats->connections_open,
		(uintmax_t)stats->body_bytes);

	if (err < 0)
		return err;
	return origin_answer_text(origin, 200, "application/json", text, strlen(text), answer);
}

/* How many requests each rule of the script has been applied to, a line for each. */
static int answer_rules(struct origin *origin, struct answer *answer)
{
	char *text = origin_script_hits(origin->script);

	if (!text)
		return -ENOMEM;
	return origin_answer_text(origin, 200, "text/plain", text, strlen(text), answer);
}

static int answer_reset(struct origin *origin, struct answer *answer)
{
	origin->stats = (struct origin_stats){.connections_open = origin->stats.connections_open};
	return origin_answer_text(origin, 204, NULL, NULL, 0, answer);
}

static int answer_script(
	struct origin *origin, const char *body, size_t length, struct answer *answer)
{
	char error[256] = "a NUL in it";
	struct script *script;
	int err = -EINVAL;
	char *text;

	if (strlen(body) == length)
		err = origin_script_parse(body, clock_now_ns(), &script, error, sizeof(error));
	if (err == -EINVAL) {
		err = text_print(&text, "script: %s\n", error);
		if (err < 0)
			return err;
		return origin_answer_text(origin, 400, "text/plain", text, strlen(text), answer);
	}
	if (err)
		return err;
	origin_script_destroy(origin->script);
	origin->script = script;
	return origin_answer_text(origin, 204, NULL, NULL, 0, answer);
}

int origin_control_answer(
	struct origin *origin, const char *body, size_t length, struct answer *answer)
{
	const char *name = origin->request.path + strlen(PREFIX);
	enum method method = origin->request.method;

	if (!strcmp(name, "stats") && method == METHOD_GET)
		return answer_stats(origin, answer);
	if (!strcmp(name, "rules") && method == METHOD_GET)
		return answer_rules(origin, answer);
	if (!strcmp(name, "reset") && method == METHOD_PUT)
		return answer_reset(origin, answer);
	if (!strcmp(name, "script") && method == METHOD_PUT)
		return answer_script(origin, body, length, answer);
	return origin_answer_text(origin, 404, "text/plain", NULL, 0, answer);
}
