/*
 * answer.c - decides what a request is answered with, and spoils it as the script says.
 *
 * One thread. Four steps, each on the struct reply: find the resource, match the rules, follow the
 * conditions and the range (RFC 9110 section 13.2.2), then write head and body. Rules are matched
 * in the middle because range= needs the object's size, and etag= must be what If-Match meets.
 * Without a rule nothing is allocated on the way of a file or a generated object.
 */
#include "answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "conditions.h"
#include "index.h"
#include "ranges.h"
#include "server.h"

struct reply {
	int status;
	struct resource *resource; /* NULL: the path names nothing, or a directory */
	bool page;                 /* text is sent, whatever the resource is */
	uint64_t size;             /* of the resource, as far as the client may know */
	struct validator validator;
	struct range range;
	const char *location;
	const char *type;
	char *text;
	size_t text_length;
};

static void resource_put(struct resource **resource)
{
	origin_resource_put(*resource);
}

static void reply_finish(struct reply *reply)
{
	origin_resource_put(reply->resource);
	free(reply->text);
}

void origin_answer_finish(struct answer *answer)
{
	if (answer->head != answer->head_room)
		free(answer->head);
	answer->head = NULL;
	origin_body_finish(&answer->body);
}

static void answer_init(struct answer *answer)
{
	memset(answer, 0, offsetof(struct answer, head_room));
	answer->body.corrupt_at = BODY_INTACT;
	answer->stall_at = ANSWER_NEVER;
	answer->stall_ns = ANSWER_NEVER;
	answer->close_after_ns = ANSWER_NEVER;
}

/* A page that says the status, as servers have them. */
static int reply_set_page(struct reply *reply, int status)
{
	int length;

	free(steal_pointer(&reply->text));
	reply->page = true;
	reply->status = status;
	reply->text_length = 0;
	reply->type = "text/html";
	if (status == 304 || status == 204)
		return 0;
	length = asprintf(&reply->text,
		"<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n"
		"<center><h1>%d %s</h1></center>\r\n</body>\r\n</html>\r\n",
		status, origin_reason(status), status, origin_reason(status));
	if (length < 0) {
		reply->text = NULL;
		return -ENOMEM;
	}
	reply->text_length = (size_t)length;
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
static int reply_redirect(struct origin *origin, struct reply *reply)
{
	const char *target = origin->request.target;
	size_t arena_used = origin->head.arena_used;
	char *room = origin->head.arena + arena_used;
	size_t room_size = sizeof(origin->head.arena) - arena_used;
	int length;

	target += strspn(target, "/");
	length = snprintf(room, room_size / 2, "/%s/", target);
	if (length < 0 || (size_t)length >= room_size / 2)
		return reply_set_page(reply, 414);
	origin->head.arena_used += (size_t)length + 1;
	reply->location = room;
	return reply_set_page(reply, 301);
}

static int reply_directory(struct origin *origin, struct reply *reply)
{
	struct resource *directory cleanup(resource_put) = steal_pointer(&reply->resource);
	const struct request *request = &origin->request;
	int err;

	if (request->path[request->path_length - 1] != '/')
		return reply_redirect(origin, reply);
	err = origin_index_write(directory->fd, request->path, origin->index_json, &reply->text,
		&reply->text_length);
	if (err)
		return reply_set_page(reply, status_of_errno(err));
	reply->type = origin->index_json ? "application/json" : "text/html";
	reply->page = true;
	return 0;
}

static int reply_find(struct origin *origin, struct reply *reply)
{
	const struct request *request = &origin->request;
	int err;

	if (request->method != METHOD_GET && request->method != METHOD_HEAD)
		return reply_set_page(reply, 405);
	err = origin_resource_get(
		&origin->resources, request->path, request->path_length, &reply->resource);
	if (err)
		return reply_set_page(reply, status_of_errno(err));
	reply->status = 200;
	if (reply->resource->kind == RESOURCE_DIRECTORY)
		return reply_directory(origin, reply);
	reply->type = "application/octet-stream";
	reply->size = reply->resource->size;
	reply->validator.etag = reply->resource->etag;
	reply->validator.modified = reply->resource->modified.tv_sec;
	return 0;
}

static void reply_match_script(struct origin *origin, const struct reply *reply)
{
	struct range_spec spec = origin_range_parse(origin->request.fields[FIELD_RANGE]);
	struct script_request request = {
		.path = origin->request.path,
		.method = origin->request.method_name,
		.now_ns = clock_now_ns(),
	};
	struct range range;

	origin_range_resolve(spec, reply->size, &range);
	request.ranged = spec.kind != RANGE_NONE;
	request.range_start = spec.kind == RANGE_BOUNDED ? spec.first : range.start;
	origin_script_match(origin->script, &request, &origin->actions);
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
	reply->page = true;
	reply->text = strdup(text);
	reply->text_length = strlen(text);
	return reply->text ? 0 : -ENOMEM;
}

static void head_edit(struct head *head, const struct actions *actions)
{
	const char *text;

	head->status_line = action_text(actions, ACTION_STATUS_LINE);
	head->http10 = action_given(actions, ACTION_HTTP10);
	head->interim = (unsigned)action_number(actions, ACTION_INTERIM, 0);
	head->flood = (unsigned)action_number(actions, ACTION_HEADER_FLOOD, 0);
	head->long_field = action_number(actions, ACTION_HEADER_LONG, 0);
	text = action_text(actions, ACTION_CONTENT_RANGE);
	if (text)
		origin_head_set(head, "Content-Range", text);
	if (action_given(actions, ACTION_CHUNKED)) {
		origin_head_drop(head, "Content-Length");
		origin_head_add(head, "Transfer-Encoding", "chunked");
	}
	text = action_text(actions, ACTION_LENGTH);
	if (text)
		origin_head_set(head, "Content-Length", text);
	if (action_given(actions, ACTION_GZIP_LABEL))
		origin_head_set(head, "Content-Encoding", "gzip");
	for (size_t i = 0; i < actions->edit_count; i++) {
		const struct field_edit *edit = &actions->edits[i];

		if (edit->kind == EDIT_DROP)
			origin_head_drop(head, edit->name);
		else if (edit->kind == EDIT_ADD)
			origin_head_add(head, edit->name, edit->value);
		else
			origin_head_set(head, edit->name, edit->value);
	}
}

static void head_fill(struct origin *origin, const struct reply *reply, bool keep)
{
	struct head *head = &origin->head;
	uint64_t length = reply->page ? reply->text_length : range_length(reply->range);

	head->status = reply->status;
	origin_head_add(head, "Server", "pagein-origin");
	origin_head_add(head, "Date", origin_date(origin));
	if (reply->status != 304 && reply->status != 204) {
		origin_head_add(head, "Content-Type", reply->type);
		origin_head_add_number(head, "Content-Length", length);
	}
	origin_head_add(head, "Connection", keep ? "keep-alive" : "close");
	if (reply->resource && (reply->status < 300 || reply->status == 304)) {
		origin_head_add(head, "Last-Modified", reply->resource->modified_text);
		origin_head_add(head, "ETag", reply->validator.etag);
	}
	if (reply->resource && reply->status == 200)
		origin_head_add(head, "Accept-Ranges", "bytes");
	if (reply->resource && reply->status == 206)
		origin_head_add_content_range(head, reply->range.start,
			reply->range.end ? reply->range.end - 1 : 0, reply->size);
	if (reply->status == 416)
		origin_head_add_unsatisfied(head, reply->size);
	if (reply->status == 405)
		origin_head_add(head, "Allow", "GET, HEAD");
	if (reply->location)
		origin_head_add(head, "Location", reply->location);
}

/* Moves text or resource from the reply to the body. */
static void body_fill(struct body *body, struct reply *reply, const struct actions *actions)
{
	body->chunked = action_given(actions, ACTION_CHUNKED);
	body->corrupt_at = action_number(actions, ACTION_CORRUPT, BODY_INTACT);
	if (reply->page) {
		body->kind = BODY_TEXT;
		body->length = reply->text_length;
		body->text = steal_pointer(&reply->text);
		return;
	}
	body->kind = reply->resource->kind == RESOURCE_FILE ? BODY_FILE : BODY_PATTERN;
	body->offset = reply->range.start + action_number(actions, ACTION_SKEW, 0);
	body->length = range_length(reply->range);
	body->seed = action_number(actions, ACTION_SEED, reply->resource->seed);
	body->resource = steal_pointer(&reply->resource);
}

static void answer_pace(struct answer *answer, const struct actions *actions)
{
	answer->delay_ns = action_number(actions, ACTION_DELAY, 0);
	answer->rate = action_number(actions, ACTION_RATE, 0);
	answer->byte_ns = action_number(actions, ACTION_ONE_BYTE_PER, 0);
	answer->close_after_ns = action_number(actions, ACTION_CLOSE_AFTER, ANSWER_NEVER);
	if (action_given(actions, ACTION_STALL) || action_given(actions, ACTION_STALL_FOR)) {
		answer->stall_at = action_number(actions, ACTION_STALL, 0);
		answer->stall_ns = action_number(actions, ACTION_STALL_FOR, ANSWER_NEVER);
	}
}

static void answer_cut(struct answer *answer, const struct actions *actions)
{
	bool silent = !action_given(actions, ACTION_TRUNCATE) &&
		      !action_given(actions, ACTION_CUT_HEAD);
	uint64_t cut = action_number(actions, ACTION_TRUNCATE, answer->end);

	if (cut < answer->end)
		answer->end = cut;
	if (action_given(actions, ACTION_CUT_HEAD)) {
		cut = action_number(actions, ACTION_CUT_HEAD, 0);
		if (cut < answer->head_length)
			answer->head_length = cut;
		answer->end = 0;
	}
	if (action_given(actions, ACTION_RESET) || action_given(actions, ACTION_CLOSE)) {
		if (silent)
			answer->head_length = answer->end = 0;
		answer->finish = action_given(actions, ACTION_RESET) ? END_RESET : END_CLOSE;
	} else if (!silent) {
		answer->finish = END_CLOSE;
	}
}

static int answer_write(
	struct origin *origin, struct reply *reply, bool keep, struct answer *answer)
{
	const struct actions *actions = &origin->actions;
	bool bodiless = origin->request.method == METHOD_HEAD;
	long length;

	keep = keep && !action_given(actions, ACTION_NO_KEEPALIVE) &&
	       !action_given(actions, ACTION_HTTP10);
	answer->finish = keep ? END_KEEP : END_CLOSE;
	head_fill(origin, reply, keep);
	head_edit(&origin->head, actions);
	length = origin_head_write(
		&origin->head, answer->head_room, sizeof(answer->head_room), &answer->head);
	if (length < 0)
		return (int)length;
	answer->head_length = (size_t)length;
	if (!bodiless) {
		body_fill(&answer->body, reply, actions);
		answer->end = origin_body_wire_length(&answer->body);
	}
	answer_pace(answer, actions);
	answer_cut(answer, actions);
	return 0;
}

int origin_answer_prepare(struct origin *origin, int status, struct answer *answer)
{
	struct reply reply cleanup(reply_finish) = {0};
	const struct request *request = &origin->request;
	int err;

	answer_init(answer);
	origin_head_init(&origin->head, 0);
	origin->actions.given = 0;
	origin->actions.edit_count = 0;
	origin_date(origin);
	origin->stats.requests++;
	if (status) {
		/* Nothing in the request can be trusted, not even that it was HEAD. */
		origin->request.method = METHOD_GET;
		err = reply_set_page(&reply, status);
		return err ? err : answer_write(origin, &reply, false, answer);
	}
	origin->stats.ranged_requests += request->fields[FIELD_RANGE] != NULL;
	err = reply_find(origin, &reply);
	if (!err && !origin_script_empty(origin->script))
		reply_match_script(origin, &reply);
	if (!err && reply.resource)
		err = reply_follow_request(origin, &reply);
	if (!err && origin->actions.given)
		err = reply_override(origin, &reply);
	/* A body that nobody asked for would be taken for the next request. */
	return err ? err
		   : answer_write(
			     origin, &reply, request->keep_alive && !request->has_body, answer);
}

int origin_answer_text(struct origin *origin, int status, const char *type, char *text,
	size_t length, struct answer *answer)
{
	struct reply reply cleanup(reply_finish) = {
		.status = status,
		.page = true,
		.type = type,
		.text = text,
		.text_length = length,
	};

	answer_init(answer);
	origin_head_init(&origin->head, 0);
	origin->actions.given = 0;
	origin->actions.edit_count = 0;
	return answer_write(origin, &reply, origin->request.keep_alive, answer);
}
