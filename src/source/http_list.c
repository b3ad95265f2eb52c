/*
 * http_list.c - what is in this directory? Its index page, or what WebDAV says of it.
 *
 * Runs on the loop; owned by the listing. Two questions may be asked:
 *
 *	GET of the page --exact, or no WebDAV here--> entries
 *	        \--no page, or sizes are missing--> PROPFIND --207--> entries
 *	                                                \--else--> what the page has, or why not
 *
 * or, at a server that has answered a PROPFIND before:
 *
 *	PROPFIND --207--> entries
 *	        \--else--> GET of the page
 *
 * PROPFIND has every size and time, exact, where many pages round them, and a page without them
 * costs a HEAD for each file that somebody looks at. So a server is tried for it once, when it
 * would help, and what came of it is remembered for as long as the source lives.
 *
 * Cost: the answer is parsed twice, to judge it and to tell of it; one struct for each server.
 * Rejected: OPTIONS first, a round trip for each server, of which nginx, caddy and Python's have no
 * WebDAV to tell of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "http_private.h"
#include "index.h"
#include "url.h"

enum dav { DAV_UNKNOWN, DAV_OFFERED, DAV_MISSING };

struct dav_server {
	struct list node;
	enum dav dav;
	struct url url; /* whose server is meant */
};

struct http_list_call {
	struct http_request page, propfind; /* one after the other */
	struct http_source *http;
	struct listing *listing;
	struct dav_server *server;
	int page_err;
};

static void call_free(struct http_list_call *call)
{
	if (!call)
		return;
	http_request_finish(&call->page);
	http_request_finish(&call->propfind);
	free(call);
}

/* ---- servers ------------------------------------------------------------------------------ */

/* NULL: out of memory, or not a URL. */
static struct dav_server *server_of(struct http_source *http, const char *text)
{
	cleanup(url_finish) struct url url = {0};
	struct dav_server *server;

	if (url_parse(text, &url) < 0)
		return NULL;
	list_for_each (node, &http->dav_servers) {
		server = list_entry(node, struct dav_server, node);
		if (url_same_server(&server->url, &url))
			return server;
	}
	server = calloc(1, sizeof *server);
	if (!server)
		return NULL;
	server->url = url;
	url = (struct url){0};
	list_append(&http->dav_servers, &server->node);
	return server;
}

void http_list_finish(struct http_source *http)
{
	list_for_each_safe (node, &http->dav_servers) {
		struct dav_server *server = list_entry(node, struct dav_server, node);

		list_remove(&server->node);
		url_finish(&server->url);
		free(server);
	}
}

/* ---- pages -------------------------------------------------------------------------------- */

static int page_parse(struct http_request *request, index_entry_fn *entry, void *context)
{
	cleanup(url_finish) struct url url = {0};
	struct index_page page = {
		.bytes = request->bytes ? request->bytes : "", .length = request->len};
	char *type = NULL;
	/* The page's links rest on its path. */
	int err = url_parse(request->location, &url);

	if (err < 0)
		return err;
	/* A redirect may lead to a document: its links rest on the directory that it is in. */
	strrchr(url.path, '/')[1] = '\0';
	curl_easy_getinfo(request->curl.easy, CURLINFO_CONTENT_TYPE, &type);
	page.content_type = type;
	page.path = url.path;
	err = index_parse(&page, entry, context, NULL);
	if (err == -EPROTO)
		strcpy(request->reason, "not an index page that pagein can read");
	return err;
}

struct judgement {
	size_t entries;
	bool inexact;
};

static int entry_judge(const struct index_entry *entry, void *context)
{
	struct judgement *judgement = context;

	judgement->entries++;
	judgement->inexact |= !entry->is_dir && entry->size == INDEX_SIZE_UNKNOWN;
	return 0;
}

/* 0: an answer that can be parsed; else the request's reason has words. */
static int page_judge(struct http_request *request, int err, struct judgement *ret)
{
	*ret = (struct judgement){0};
	err = http_request_error(request, err);
	if (err == 0 && request->method == HTTP_PROPFIND && request->head.status != 207) {
		strcpy(request->reason, "no answer of WebDAV's");
		err = -EPROTO;
	}
	return err < 0 ? err : page_parse(request, entry_judge, ret);
}

/* ---- the two questions -------------------------------------------------------------------- */

static int entry_tell(const struct index_entry *entry, void *context)
{
	struct listing *listing = context;

	return listing->entry(listing, entry);
}

static void call_end(struct http_list_call *call, struct http_request *from, int err)
{
	struct listing *listing = call->listing;

	listing->state = NULL;
	listing->status = from->head.status;
	if (err == 0) {
		strcpy(from->reason, "refused");
		err = page_parse(from, entry_tell, listing);
	}
	if (err < 0)
		http_say(listing->error, "list", listing->url,
			from->reason[0] ? from->reason : strerror(-err));
	call_free(call);
	listing->done(listing, err);
}

static void page_ended(struct http_request *request, int err);
static void propfind_ended(struct http_request *request, int err);

static int ask(struct http_list_call *call, struct http_request *request, enum http_method method)
{
	*request = (struct http_request){
		.http = call->http,
		.url = call->listing->url,
		.method = method,
		.max = INDEX_PAGE_MAX,
		.done = method == HTTP_PROPFIND ? propfind_ended : page_ended,
	};
	return http_request_start(request);
}

/* Could WebDAV tell more? What is missing or forbidden to us is so by any question. */
static bool is_poor(const struct http_list_call *call, const struct judgement *judgement)
{
	unsigned status = call->page.head.status;

	if (call->page_err < 0)
		return status == 200 || status == 403 || status == 405 || status == 501;
	return judgement->inexact || judgement->entries == 0;
}

static void page_ended(struct http_request *request, int err)
{
	struct http_list_call *call = container_of(request, struct http_list_call, page);
	struct judgement judgement;

	call->page_err = page_judge(request, err, &judgement);
	if (call->server->dav == DAV_UNKNOWN && is_poor(call, &judgement) &&
		ask(call, &call->propfind, HTTP_PROPFIND) == 0)
		return;
	call_end(call, request, call->page_err);
}

/* Not what may be otherwise for another directory, or another time. */
static bool says_never(unsigned status)
{
	return status == 501 ||
	       (status >= 200 && status < 500 && status != 401 && status != 403 && status != 429);
}

static void propfind_ended(struct http_request *request, int err)
{
	struct http_list_call *call = container_of(request, struct http_list_call, propfind);
	bool page_was_asked = call->page.http != NULL;
	struct judgement judgement;

	err = page_judge(request, err, &judgement);
	if (err == 0)
		call->server->dav = DAV_OFFERED;
	else if (page_was_asked && says_never(request->head.status))
		call->server->dav = DAV_MISSING;
	if (err == 0)
		call_end(call, request, 0);
	else if (page_was_asked)
		call_end(call, &call->page, call->page_err);
	/* It may be offered in some directories only. */
	else if (err == -ENOENT || ask(call, &call->page, HTTP_GET) < 0)
		call_end(call, request, err);
}

/* ---- beginning and end -------------------------------------------------------------------- */

int http_list(struct source *source, struct listing *listing)
{
	struct http_list_call *call = calloc(1, sizeof *call);
	struct http_request *request;
	int err;

	listing->error[0] = '\0';
	if (!call)
		return -ENOMEM;
	call->http = http_of(source);
	call->listing = listing;
	call->server = server_of(call->http, listing->url);
	if (!call->server) {
		free(call);
		return -EINVAL;
	}
	request = call->server->dav == DAV_OFFERED ? &call->propfind : &call->page;
	err = ask(call, request, request == &call->page ? HTTP_GET : HTTP_PROPFIND);
	if (err < 0) {
		http_say(listing->error, "list", listing->url, request->reason);
		call_free(call);
	} else {
		listing->state = call;
	}
	return err;
}

void http_list_cancel(struct source *source, struct listing *listing)
{
	(void)source;
	call_free(listing->state);
	listing->state = NULL;
}
