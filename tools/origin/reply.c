/*
 * reply.c - decides what a request is answered with.
 *
 * One thread. Four steps: find the resource, match the rules, follow the conditions and the range
 * (RFC 9110 section 13.2.2), then what the script says about the status and the body. Rules are
 * matched in the middle because range= needs the object's size, and etag= must be what If-Match
 * meets. Without a rule nothing is allocated for a file or a generated object.
 */
#include "reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "index.h"
#include "ranges.h"
#include "server.h"
#include "text.h"

static void resource_put(struct resource **resource)
{
	origin_resource_put(*resource);
}

void origin_reply_finish(struct reply *reply)
{
	origin_resource_put(reply->resource);
	free(reply->location);
	free(reply->text);
}

/* A page that says the status, as servers have them. */
static int reply_set_page(struct reply *reply, int status)
{
	int err;

	free(steal_pointer(&reply->text));
	reply->page = true;
	reply->status = status;
	reply->text_length = 0;
	reply->type = "text/html";
	if (status == 304 || status == 204)
		return 0;
	err = text_print(&reply->text,
		"<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n"
		"<center><h1>%d %s</h1></center>\r\n</body>\r\n</html>\r\n",
		status, origin_reason(status), status, origin_reason(status));
	if (err < 0)
		return err;
	reply->text_length = strlen(reply->text);
	return 0;
}

static int status_of_errno(int err)
{
	switch (err) {
	case -EACCES:
	case -EPERM:
		return 403;
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
	case -ELOOP:
		return 404;
	default:
		return 500;
	}
}

/* "/dir" is answered with "/dir/"; "//host" must not become another server's address. */
static int reply_redirect(struct reply *reply, const char *target)
{
	if (text_print(&reply->location, "/%s/", target + strspn(target, "/")) < 0)
		return -ENOMEM;
	return reply_set_page(reply, 301);
}

static int reply_directory(struct origin *origin, const char *path, struct reply *reply)
{
	struct resource *directory cleanup(resource_put) = steal_pointer(&reply->resource);
	int err;

	if (path[strlen(path) - 1] != '/')
		return reply_redirect(reply, origin->request.target);
	err = origin_index_write(
		directory->fd, path, origin->index_json, &reply->text, &reply->text_length);
	if (err)
		return reply_set_page(reply, status_of_errno(err));
	reply->type = origin->index_json ? "application/json" : "text/html";
	reply->page = true;
	return 0;
}

static int reply_find(struct origin *origin, const char *path, struct reply *reply)
{
	const struct request *request = &origin->request;
	int err;

	if (request->method != METHOD_GET && request->method != METHOD_HEAD)
		return reply_set_page(reply, 405);
	err = origin_resource_get(&origin->resources, path, strlen(path), &reply->resource);
	if (err)
		return reply_set_page(reply, status_of_errno(err));
	reply->status = 200;
	if (reply->resource->kind == RESOURCE_DIRECTORY)
		return reply_directory(origin, path, reply);
	reply->type = "application/octet-stream";
	reply->size = reply->resource->size;
	reply->validator.etag = reply->resource->etag;
	reply->validator.modified = reply->resource->modified.tv_sec;
	return 0;
}

static void reply_match_script(struct origin *origin, const struct reply *reply)
{
	struct range_spec spec = origin_range_parse(origin->request.fields[FIELD_RANGE]);
	const char *login = origin->request.fields[FIELD_AUTHORIZATION];
	struct script_request request = {
		.path = origin->request.path,
		.query = origin->request.query,
		.authorization = login ? login : "",
		.method = origin->request.method_name,
		.now_ns = clock_now_ns(),
	};
	struct range range;

	origin_range_resolve(spec, reply->size, &range);
	request.ranged = spec.kind != RANGE_NONE;
	request.range_start = spec.kind == RANGE_BOUNDED ? spec.first : range.start;
	origin_script_match(origin->script, &request, &origin->actions);
}

/* What as= names, in place of what was asked for; there need not have been anything. */
static int reply_find_other(struct origin *origin, struct reply *reply)
{
	const char *path = action_text(&origin->actions, ACTION_AS);

	if (!path)
		return 0;
	if (*path != '/')
		return reply_set_page(reply, 404);
	origin_reply_finish(reply);
	*reply = (struct reply){0};
	return reply_find(origin, path, reply);
}

/* Conditions, then the range: RFC 9110 section 13.2.2. */
static int reply_follow_request(struct origin *origin, struct reply *reply)
{
	const struct actions *actions = &origin->actions;
	const struct request *request = &origin->request;
	const char *range = request->fields[FIELD_RANGE];
	int status;

	if (action_given(actions, ACTION_ETAG))
		reply->validator.etag = action_text(actions, ACTION_ETAG);
	if (reply->resource->kind == RESOURCE_GENERATED)
		reply->size = action_number(actions, ACTION_SIZE, reply->size);
	reply->range.end = reply->size;
	if (!action_given(actions, ACTION_IGNORE_CONDITIONS)) {
		status = origin_conditions_check(request, &reply->validator);
		if (status)
			return reply_set_page(reply, status);
	}
	if (!range || request->method != METHOD_GET || action_given(actions, ACTION_IGNORE_RANGE))
		return 0;
	if (!action_given(actions, ACTION_IGNORE_CONDITIONS) &&
		!origin_if_range_check(request, &reply->validator, origin->date_s))
		return 0;
	reply->status = origin_range_resolve(origin_range_parse(range), reply->size, &reply->range);
	if (reply->status == 416)
		return reply_set_page(reply, 416);
	if (reply->status == 206) {
		uint64_t shift = action_number(actions, ACTION_SHIFT, 0);

		reply->range.start += shift;
		reply->range.end += shift;
	}
	return 0;
}

/* The script's text, in which {n} is the number of the request. */
static int reply_set_text(struct reply *reply, const char *text, uint64_t number)
{
	const char *place = strstr(text, "{n}");
	int err = place ? text_print(&reply->text, "%.*s%ju%s", (int)(place - text), text,
				  (uintmax_t)number, place + strlen("{n}"))
			: text_print(&reply->text, "%s", text);

	if (err < 0)
		return err;
	reply->page = true;
	reply->text_length = strlen(reply->text);
	return 0;
}

static int reply_override(struct origin *origin, struct reply *reply)
{
	const struct actions *actions = &origin->actions;
	const char *text = action_text(actions, ACTION_BODY);
	uint64_t status = action_number(actions, ACTION_STATUS, 0);

	if (status >= 300 || status == 204) {
		int err = reply_set_page(reply, (int)status % 1000);

		if (err)
			return err;
	} else if (status) {
		reply->status = (int)status;
	}
	if (!text)
		return 0;
	free(reply->text);
	return reply_set_text(reply, text, origin->stats.requests);
}

int origin_reply_prepare(struct origin *origin, int status, struct reply *reply)
{
	int err;

	*reply = (struct reply){0};
	if (status) {
		/* Nothing in the request can be trusted, not even that it was HEAD. */
		origin->request.method = METHOD_GET;
		return reply_set_page(reply, status);
	}
	err = reply_find(origin, origin->request.path, reply);
	if (!err && !origin_script_empty(origin->script))
		reply_match_script(origin, reply);
	if (!err && origin->actions.given)
		err = reply_find_other(origin, reply);
	if (!err && reply->resource)
		err = reply_follow_request(origin, reply);
	if (!err && origin->actions.given)
		err = reply_override(origin, reply);
	return err;
}
