/*
 * fixture.h - the origin on a thread of its own, and a client that hides nothing.
 *
 * The client sends bytes as they are given, and keeps what came beyond an answer for the next one.
 * Each function fails the running test when something goes wrong. One test at a time.
 */
#pragma once

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cmocka.h needs these four, and setjmp.h, before it. */
#include <setjmp.h>

#include <cmocka.h>

#include "origin.h"

struct server {
	struct origin *origin;
	pthread_t thread;
	char root[64]; /* a temporary directory; "" when it serves none */
};

/* options.root "": a fresh temporary directory, which server_stop() removes with its contents. */
void server_start(struct server *server, struct origin_options options);
void server_stop(struct server *server);

/* A file below the root, last changed at 2024-05-06 07:08:09.5 UTC. */
void server_add_file(const struct server *server, const char *name, const void *data, size_t len);
void server_add_directory(const struct server *server, const char *name);
#define FILE_MODIFIED "Mon, 06 May 2024 07:08:09 GMT"

struct client {
	int fd;
	size_t length; /* of what was received and not consumed */
	char buffer[1 << 20];
};

void client_open(struct client *client, uint16_t port);
void client_close(struct client *client);
void client_send(struct client *client, const char *text);

struct response {
	int status;
	char head[8192]; /* with its status line, terminated */
	size_t length;
	char body[1 << 20];
};

/* Up to the end of the head. False when the connection ended before. */
bool client_receive_head(struct client *client, struct response *response);

/* The head, and a body as long as Content-Length says; none when head_only. */
void client_receive(struct client *client, struct response *response, bool head_only);

/* Exactly so many more bytes of the body, behind those that response has. */
void client_receive_body(struct client *client, struct response *response, size_t len);

/* All until the connection ends, appended likewise. 0, or the errno of a broken one. */
int client_receive_rest(struct client *client, struct response *response);

/* Does nothing come, for a while? */
bool client_is_silent(struct client *client);

/* "METHOD PATH HTTP/1.1" with Host and, unless NULL, more fields that end with \r\n; its answer. */
void client_request(struct client *client, const char *method, const char *path, const char *fields,
	struct response *response);

/* The value of a field, "" when it is not there; good until the next call. */
const char *response_field(const struct response *response, const char *name);

/* PUT /.origin/script, which must be taken. */
void client_set_script(struct client *client, const char *script);
