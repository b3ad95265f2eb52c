/*
 * replay.c - reads a trace. On the main thread; the caller owns what was read.
 *
 * Lines are read one by one, so that a trace is never in memory as text. A line that is wrong ends
 * it: a benchmark of half a trace is one of something else.
 */
#include "replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"

/* strtoull() takes signs and skips newlines; a column has digits only. */
static bool take_number(char **at, uint64_t *ret)
{
	char *end;

	*at += strspn(*at, " \t");
	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*ret = strtoull(*at, &end, 10);
	if (errno || (*end && !strchr(" \t\r\n", *end)))
		return false;
	*at = end;
	return true;
}

/* false: it is no access. */
static bool parse_line(char *line, struct bench_access *ret, uint64_t *ret_object)
{
	uint64_t time_us = 0, thread;

	*ret_object = 0;
	*ret = (struct bench_access){0};
	if (!take_number(&line, &ret->offset) || !take_number(&line, &ret->len) || ret->len == 0 ||
		ret->len > UINT64_MAX - ret->offset)
		return false;
	if (take_number(&line, &time_us) && take_number(&line, &thread))
		take_number(&line, ret_object);
	if (time_us > UINT64_MAX / NS_PER_US)
		return false;
	ret->at_ns = time_us * NS_PER_US;
	return line[strspn(line, " \t\r\n")] == '\0';
}

static int append(struct bench_order *order, uint64_t *room, const struct bench_access *access)
{
	struct bench_access *grown;

	if (order->count == TRACE_ACCESSES_MAX)
		return -E2BIG;
	if (order->count == *room) {
		*room = *room ? 2 * *room : 1024;
		grown = reallocarray(order->accesses, *room, sizeof *grown);
		if (!grown)
			return -ENOMEM;
		order->accesses = grown;
	}
	order->accesses[order->count++] = *access;
	return 0;
}

static int read_lines(FILE *file, uint64_t object, struct bench_order *ret, uint64_t *ret_line)
{
	cleanup_free char *line = NULL;
	uint64_t room = 0, before_ns = 0, of;
	size_t line_size = 0;
	int err = 0;

	for (*ret_line = 1; err == 0 && getline(&line, &line_size, file) >= 0; ++*ret_line) {
		size_t blanks = strspn(line, " \t\r\n");
		struct bench_access access;

		if (line[blanks] == '\0' || line[blanks] == '#')
			continue;
		if (!parse_line(line, &access, &of))
			return -EINVAL;
		if (of != object)
			continue;
		err = append(ret, &room, &access);
		if (err < 0)
			return err;
		if (access.at_ns < before_ns)
			return -EDOM;
		before_ns = access.at_ns;
	}
	if (ferror(file))
		return errno ? -errno : -EIO;
	return ret->count > 0 ? 0 : -ENODATA;
}

int trace_load(const char *path, uint64_t object, struct bench_order *ret)
{
	FILE *file = fopen(path, "re");
	uint64_t line = 0;
	int err = file ? 0 : -errno;

	*ret = (struct bench_order){0};
	if (file) {
		err = read_lines(file, object, ret, &line);
		fclose(file);
	}
	switch (err) {
	case 0:
		return 0;
	case -EINVAL:
		fprintf(stderr,
			"pagein bench: %s:%" PRIu64
			": a line is OFFSET LENGTH [TIME_US [THREAD [OBJECT]]], "
			"decimal numbers\n",
			path, line);
		break;
	case -EDOM:
		fprintf(stderr,
			"pagein bench: %s:%" PRIu64
			": its time is before the last line's: sort them "
			"with sort -s -n -k3\n",
			path, line);
		break;
	case -E2BIG:
		fprintf(stderr, "pagein bench: %s:%" PRIu64 ": more accesses than %" PRIu64 "\n",
			path, line, TRACE_ACCESSES_MAX);
		break;
	case -ENODATA:
		fprintf(stderr, "pagein bench: %s: no access of object %" PRIu64 " in it\n", path,
			object);
		break;
	default:
		fprintf(stderr, "pagein bench: %s: %s\n", path, strerrordesc_np(-err));
	}
	bench_order_free(ret);
	return err;
}
