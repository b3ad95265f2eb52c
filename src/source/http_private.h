/*
 * http_private.h - what the parts of the HTTP source share: http.c (the source, and ranged gets),
 * http_request.c (one request on libcurl), http_probe.c and http_list.c (what the answers to probes
 * and listings mean). For those four files only; all on the loop's thread.
 */
#pragma once

#include "auth.h"
#include "client.h"
#include "http_head.h"
#include "list.h"
#include "loop.h"
#include "pool.h"
#include "source.h"

struct http_source {
	struct source source;
	unsigned timeout_ms;
	uint64_t random; /* of the pauses between attempts */
	struct auth *auth;
	struct client *client;
	struct pool *pool;
	struct list dav_servers; /* http_list.c's */
};

static inline struct http_source *http_of(struct source *source)
{
	return container_of(source, struct http_source, source);
}

/* ---- one request on libcurl ---------------------------------------------------------------- */

enum http_method {
	HTTP_GET,
	HTTP_GET_START, /* of the first `max` bytes */
	HTTP_HEAD,
	HTTP_PROPFIND, /* of a directory and what is in it */
};

/*
 * With its redirects and its repetitions. The owner fills in the first part, and keeps all of it
 * until done() or http_request_finish().
 */
struct http_request {
	struct http_source *http;
	const char *url;
	enum http_method method;
	size_t max; /* bytes of the body; more end the request */
	/* err: 0 for any answer that is whole, whatever its status; else reason has words. */
	void (*done)(struct http_request *self, int err);
	/* the answer */
	struct http_head head; /* of the newest answer */
	char *location;        /* who gave it: a plain URL */
	bool moved;            /* that is another one than was asked */
	bool named;            /* the URL says who we are */
	bool refused;          /* with err: its body was not wanted, or more than max */
	char *bytes;
	size_t len;
	char reason[SOURCE_ERROR_MAX];
	/* its own */
	size_t room; /* at bytes */
	struct client_request curl;
	struct curl_slist *headers;
	unsigned redirects;
	unsigned attempts; /* that failed in a way that may pass */
	bool foreign;      /* redirected to another server */
	size_t head_bytes;
	size_t idle_bytes; /* of a body that is of no use */
	struct loop_timer timer;
};

/* done() will be called, not from inside this call. -EINVAL, -ENOMEM; of credentials: auth.h. */
int http_request_start(struct http_request *request);
/* Ends it at whatever stage, and frees what it has. A zeroed one is fine. */
void http_request_finish(struct http_request *request);

/* What its end means for a probe or listing: 0 for 2xx; else reason has words. */
int http_request_error(struct http_request *request, int err);

static inline bool http_is_redirect(unsigned status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* "operation: URL: reason", of the URL what may be told. */
void http_say(
	char error[SOURCE_ERROR_MAX], const char *operation, const char *url, const char *reason);

/* ---- probes and listings: struct source_ops has their contracts ----------------------------- */

int http_probe(struct source *source, struct probe *probe);
void http_probe_cancel(struct source *source, struct probe *probe);
int http_list(struct source *source, struct listing *listing);
void http_list_cancel(struct source *source, struct listing *listing);
/* Forgets which servers have WebDAV. */
void http_list_finish(struct http_source *http);

/* ---- places: what a probe hands to pin ------------------------------------------------------ */

/* The plain URL that has the bytes and, if others led there, the one that was asked. -ENOMEM */
int http_place_join(const char *location, const char *asked, char **ret);
/* *ret_asked NULL: nobody else was asked. -ENOMEM */
int http_place_split(const char *place, char **ret_location, char **ret_asked);
