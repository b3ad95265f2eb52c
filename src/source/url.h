/*
 * url.h - the parts of an http:// or https:// URL, and what libcurl there is. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Each part as in the URL, the path at least "/"; all owned by the struct. */
struct url {
	char *scheme;
	char *host; /* an IPv6 address in its brackets */
	uint16_t port;
	bool has_port; /* the URL names it, and not only the scheme */
	char *path;
	char *query; /* NULL: none */
};

/* Bytes that no URL may have are percent-encoded. -EINVAL: not a URL; -ENOMEM. */
int url_parse(const char *text, struct url *ret);
/* A zeroed one is fine. */
void url_finish(struct url *url);

/* How much of the URL may be told to everybody: not its query, which may be a signature. */
int url_public_length(const char *text);

/* libcurl, for those who tell people about it. */
struct url_library {
	const char *version;     /* "7.88.1" */
	bool is_old;             /* older than pagein needs */
	const char *tls;         /* "OpenSSL/3.0.17"; NULL: no https:// */
	const char *authorities; /* the file of certificates that it trusts; NULL: the TLS library
				    knows */
	const char *everything;  /* one line with all its parts */
};
struct url_library url_library(void);
