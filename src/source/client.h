/*
 * client.h - libcurl's multi interface on a loop: names, connections, proxies, TLS, and every
 * request that is not hot. Whoever needs a request prepares an easy handle with client_easy() and
 * gives it to client_start(). All on the loop's thread.
 */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "list.h"
#include "source.h"

struct client;
struct loop;

/* A request; embedded by its owner. */
struct client_request {
	CURL *easy;
	/* The end; the request may be finished, or its handle kept (CURLOPT_CONNECT_ONLY). */
	void (*done)(struct client_request *self, CURLcode result);
	struct client *client; /* NULL: not started */
	/*
	 * Not to be connected to, if the name has another address: set between client_easy() and
	 * client_start(). `avoided`: an address was passed over.
	 */
	struct sockaddr_storage avoid; /* ss_family AF_UNSPEC: none */
	bool avoided;
	struct list node; /* of those that run, until done() is called */
	/* Where it counts as a question, set as `avoid` is; NULL: nowhere. */
	struct source_stats *counts;
	bool set_failed; /* client_set() */
	bool lost;       /* the loop does not watch its socket: it has to end */
	char error[CURL_ERROR_SIZE];
};

/*
 * timeout_ms: to connect, and for 1 byte per second to arrive. connections_max: to one server; more
 * requests wait.
 */
int client_create(
	struct loop *loop, unsigned timeout_ms, unsigned connections_max, struct client **ret);
/* No request may be left. NULL is fine. */
void client_destroy(struct client *client);

/* A handle with everything set that all requests have in common. -ENOMEM */
int client_easy(struct client *client, const char *url, struct client_request *request);

/*
 * curl_easy_setopt(); one that fails (libcurl copies some values, and has no memory) lets
 * client_start() fail: a request with an option less would be another one.
 */
#define client_set(request, option, value) \
	((request)->set_failed |= curl_easy_setopt((request)->easy, option, value) != CURLE_OK)

/*
 * Trust the certificates in this file, in place of SSL_CERT_FILE's and the usual ones; for requests
 * to come. It must live as long as the client. NULL: as before.
 */
void client_trust(struct client *client, const char *file);

/* Appends a request's header lines, each "Name: value\r\n". -ENOMEM */
int client_add_headers(struct curl_slist **list, const char *lines);
/* Overwrites and frees them: some are secrets. NULL is fine. */
void client_free_headers(struct curl_slist *list);

/* done() will be called, not from inside this call. -ENOMEM */
int client_start(struct client *client, struct client_request *request);

/* Ends it, at whatever stage, and frees its handle. A request that is all zero is fine. */
void client_finish(struct client_request *request);

/*
 * Did it end with no answer of HTTP's, on a connection that has served others? That may be what was
 * left of one of theirs, which was longer than its head had said.
 */
bool client_got_leftover(const struct client_request *request, CURLcode result);

/* What the answer says its body is; "" if nothing, or too much. Until client_finish(). */
void client_content_type(const struct client_request *request, char to[CONTENT_TYPE_MAX + 1]);

/* The same host? Ports don't count. */
bool client_same_address(const struct sockaddr *a, const struct sockaddr_storage *b);

/* libcurl's results as errno: negative, and whether trying again may help. */
struct curl_errno {
	int err;
	bool again;
};
struct curl_errno curl_errno(CURLcode result);
