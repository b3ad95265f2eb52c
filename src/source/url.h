/*
 * url.h - the parts of an http:// or https:// URL, and what libcurl there is. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each part as in the URL, the path at least "/"; all owned by the struct. */
struct url {
	char *scheme;
	char *user;     /* decoded; NULL: none */
	char *password; /* likewise */
	char *host;     /* an IPv6 address in its brackets */
	uint16_t port;
	bool has_port; /* the URL names it, and not only the scheme */
	char *path;
	char *query; /* NULL: none */
};

/* Bytes that no URL may have are percent-encoded. -EINVAL: not a URL; -ENOMEM. */
int url_parse(const char *text, struct url *ret);
/* A zeroed one is fine. */
void url_finish(struct url *url);

/* "scheme://host[:port]/path[?query]": without user, password and fragment. -ENOMEM */
int url_plain(const struct url *url, char **ret);

/* Is it the same server: scheme, host and port? What is secret to one is told to no other. */
bool url_same_server(const struct url *a, const struct url *b);

/*
 * What a link in the document at `base` leads to (RFC 3986 section 5); any scheme. -EINVAL: not a
 * URL; -ENOMEM.
 */
int url_resolve(const char *base, const char *link, char **ret);

/*
 * The URL as it may be told to everybody: without user and password, and without its query, which
 * may be a signature. Any text will do; as much of it as there is room for.
 */
#define URL_TOLD_MAX 120 /* bytes of a URL in an error's words */
struct url_told {
	char text[URL_TOLD_MAX + 1];
};
struct url_told url_tell(const char *text);
/* The same for room of the caller's own. Returns to. */
char *url_tell_in(const char *text, char *to, size_t room);

/* Decodes %XX, and '+' to a blank if so told; in place. The length; there may be NULs in it. */
size_t url_decode(char *text, bool plus_is_blank);

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
