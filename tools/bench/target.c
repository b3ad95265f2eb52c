/*
 * target.c - the server: the one that --source names, or our own in a child, which dies with
 * this process.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "cleanup.h"
#include "pagein.h"
#include "scheme.h"
#include "url.h"

static int parse_url(struct bench_target *target)
{
	struct url url;
	const char *slash;
	int err;

	/* The floor, which wants a host and a port, can't ask it; others know what to do. */
	if (strncasecmp(target->url, "http", 4) != 0 && scheme_find(target->url)) {
		slash = strrchr(target->url, '/');
		snprintf(target->path, sizeof target->path, "%s", slash ? slash : "/");
		return 0;
	}
	err = url_parse(target->url, &url);
	if (err < 0) {
		fprintf(stderr, "pagein bench: %s: not " SCHEMES_WORDS "\n", target->url);
		return err;
	}
	snprintf(target->host, sizeof target->host, "%s", url.host);
	snprintf(target->path, sizeof target->path, "%s", url.path);
	target->port = url.port;
	url_finish(&url);
	return 0;
}

void bench_s3_options(const struct options *options, struct pagein_s3_options *ret)
{
	*ret = (struct pagein_s3_options)PAGEIN_S3_OPTIONS_INIT;
	ret->profile = options->s3.profile;
	ret->region = options->s3.region;
	ret->endpoint_url = options->s3.endpoint;
	ret->addressing_style = options->s3.addressing;
	ret->no_sign_request = options->s3.no_sign_request;
	ret->requester_pays = options->s3.requester_pays;
}

static int ask_size(const struct options *options, struct bench_target *target)
{
	struct pagein_options use = PAGEIN_OPTIONS_INIT;
	struct pagein_s3_options s3;
	struct pagein_object *object;
	int err;

	bench_s3_options(options, &s3);
	use.s3 = &s3;
	use.netrc_file = options->netrc_file;
	use.token_file = options->token_file;
	err = pagein_open(target->url, &use, &object);

	if (err < 0) {
		fprintf(stderr, "pagein bench: %s\n", pagein_last_error());
		return err;
	}
	target->size = pagein_size(object);
	pagein_close(object);
	if (target->size > 0)
		return 0;
	fprintf(stderr, "pagein bench: %s: the object is empty\n", target->url);
	return -EINVAL;
}

static int start_origin(const struct options *options, struct bench_target *target)
{
	struct origin_options origin = {0};
	char script[128];
	size_t len = 0;
	int err;

	script[0] = '\0';
	if (options->delay_ns > 0 || options->rate_bytes > 0)
		len = (size_t)snprintf(script, sizeof script, ": ");
	if (options->delay_ns > 0)
		len += (size_t)snprintf(script + len, sizeof script - len, "delay=%lluns ",
			(unsigned long long)options->delay_ns);
	if (options->rate_bytes > 0)
		snprintf(script + len, sizeof script - len, "rate=%llu",
			(unsigned long long)options->rate_bytes);
	origin.script = script[0] ? script : NULL;
	err = origin_spawn(&origin, &target->origin);
	if (err < 0) {
		fprintf(stderr, "pagein bench: can't start the embedded server: %s\n",
			strerrordesc_np(-err));
		return err;
	}
	target->embedded = true;
	target->seed = options->seed;
	snprintf(target->url, sizeof target->url, "http://127.0.0.1:%u/generated/%llu-%llu",
		target->origin.port, (unsigned long long)options->size_bytes,
		(unsigned long long)options->seed);
	return 0;
}

int bench_target_open(const struct options *options, struct bench_target *ret)
{
	int err = 0;

	*ret = (struct bench_target){0};
	if (options->operand_count > 0)
		snprintf(ret->url, sizeof ret->url, "%s", options->operands[0]);
	else
		err = start_origin(options, ret);
	if (err == 0)
		err = parse_url(ret);
	if (err == 0)
		err = ask_size(options, ret);
	if (err < 0)
		bench_target_close(ret);
	return err;
}

void bench_target_close(struct bench_target *target)
{
	if (target->embedded)
		origin_process_finish(&target->origin);
	target->embedded = false;
}

/* ---- counters ----------------------------------------------------------------------------- */

/* The whole answer to a request without a body, on a connection of its own. */
static ssize_t ask(const struct bench_target *target, const char *path, char *answer, size_t max)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(target->port)};
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t have = 0;
	ssize_t n;
	int len;

	inet_pton(AF_INET, target->host, &to.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		return -1;
	len = snprintf(answer, max, "GET %s HTTP/1.0\r\n\r\n", path);
	if (send(fd, answer, (size_t)len, MSG_NOSIGNAL) != len)
		return -1;
	while (have < max - 1 && (n = recv(fd, answer + have, max - 1 - have, 0)) > 0)
		have += (size_t)n;
	answer[have] = '\0';
	return (ssize_t)have;
}

bool bench_target_counters(
	const struct bench_target *target, uint64_t *ret_requests, uint64_t *ret_bytes)
{
	char answer[4096];
	const char *body;
	json_t *stats;

	if (!target->embedded || ask(target, "/.origin/stats", answer, sizeof answer) < 0)
		return false;
	body = strstr(answer, "\r\n\r\n");
	stats = body ? json_loads(body, 0, NULL) : NULL;
	if (!stats)
		return false;
	*ret_requests = (uint64_t)json_integer_value(json_object_get(stats, "requests"));
	*ret_bytes = (uint64_t)json_integer_value(json_object_get(stats, "body_bytes"));
	json_decref(stats);
	return true;
}
