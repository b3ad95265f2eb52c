/*
 * answer.c - writes an answer, and spoils it as the script says.
 *
 * One thread. The reply is decided in reply.c; here it becomes a head, a body which can be read at
 * any position, and the times at which they leave. A head that fits into the answer's own room, as
 * all do that the script does not blow up, is not allocated.
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "reply.h"
#include "server.h"

void origin_answer_finish(struct answer *answer)
{
	if (answer->head != answer->head_room)
		free(answer->head);
	answer->head = NULL;
	origin_body_finish(&answer->body);
}

static void head_edit(struct head *head, const struct actions *actions)
{
	const char *text;

	head->status_line = action_text(actions, ACTION_STATUS_LINE);
	head->http10 = action_given(actions, ACTION_HTTP10);
	head->interim = (unsigned)action_number(actions, ACTION_INTERIM, 0);
	head->flood = (unsigned)action_number(actions, ACTION_HEADER_FLOOD, 0);
	head->long_field = action_number(actions, ACTION_HEADER_LONG, 0);
	head->nul_field = action_given(actions, ACTION_HEADER_NUL);
	head->odd_case = action_given(actions, ACTION_ODD_CASE);
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
	body->length = range_length(reply->range) + action_number(actions, ACTION_SURPLUS, 0);
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

static void answer_start(struct origin *origin, struct answer *answer)
{
	memset(answer, 0, offsetof(struct answer, head_room));
	answer->body.corrupt_at = BODY_INTACT;
	answer->stall_at = ANSWER_NEVER;
	answer->stall_ns = ANSWER_NEVER;
	answer->close_after_ns = ANSWER_NEVER;
	origin_head_init(&origin->head, 0);
	origin->actions.given = 0;
	origin->actions.edit_count = 0;
	/* If-Range compares with it. */
	origin_date(origin);
}

int origin_answer_prepare(struct origin *origin, int status, struct answer *answer)
{
	struct reply reply cleanup(origin_reply_finish);
	const struct request *request = &origin->request;
	int err;

	answer_start(origin, answer);
	origin->stats.requests++;
	origin->stats.ranged_requests += !status && request->fields[FIELD_RANGE];
	err = origin_reply_prepare(origin, status, &reply);
	if (err)
		return err;
	/* A body that nobody reads would be taken for the next request. */
	return answer_write(
		origin, &reply, !status && request->keep_alive && !request->has_body, answer);
}

int origin_answer_text(struct origin *origin, int status, const char *type, char *text,
	size_t length, struct answer *answer)
{
	struct reply reply cleanup(origin_reply_finish) = {
		.status = status,
		.page = true,
		.type = type,
		.text = text,
		.text_length = length,
	};

	answer_start(origin, answer);
	return answer_write(origin, &reply, origin->request.keep_alive, answer);
}
