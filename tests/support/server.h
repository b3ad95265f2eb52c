/*
 * server.h - a server in a process of its own, serving a fresh directory.
 *
 * pagein-origin obeys a script (tools/origin/origin.h has its grammar); the others were not written
 * by us. All listen on a free port of 127.0.0.1, and die with the test's thread that started them.
 * The test's own thread only: what goes wrong fails the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
	pid_t pid; /* 0: it does not run */
	uint16_t port;
	char root[64]; /* its directory; removed by server_stop() */
};

void server_start(struct server *server);

/*
 * The same with a server that was not written by us; server.c has what each serves where. False,
 * with a reason on stderr: there is none here.
 */
/* NGINX_TLS: https:// with a certificate of its own, ROOT/.server/certificate. */
enum foreign { NGINX, NGINX_TLS, APACHE2, LIGHTTPD, CADDY, PYTHON, FOREIGN_COUNT };
bool server_start_foreign(struct server *server, enum foreign which);
bool server_start_nginx(struct server *server);
const char *foreign_name(enum foreign which);

/* Ends the server, its connections with it, and its directory. A stopped one is fine. */
void server_stop(struct server *server);

/* Ends the server only, as if it had crashed; and starts it again on the same port. */
void server_kill(struct server *server);
void server_restart(struct server *server);

/* "http://127.0.0.1:PORT/PATH"; good until the eighth call after this one. */
const char *server_url(const struct server *server, const char *path);

/* Replaces the origin's script; an error in it fails the test. */
void server_script(const struct server *server, const char *rules);

/* One of the origin's counters, by its name in /.origin/stats. */
uint64_t server_count(const struct server *server, const char *name);
/* The body of another of the origin's control paths; malloc'd. */
char *server_text(const struct server *server, const char *name);
/* All back to zero. */
void server_reset_counts(const struct server *server);

/* How often each of the first max rules of the origin's script has applied to an answer. */
void server_rule_counts(const struct server *server, uint64_t *ret, size_t max);
