/*
 * netrc.h - reads the text of a netrc file: who to log in as, on which machine.
 *
 *	machine host.example login me password "a b"
 *	default login anonymous password me@here
 *
 * Words are separated by blanks and lines; one in double quotes may have blanks, and \" \\ \n \r \t
 * in it. A line that begins with '#' is a comment; "account NAME" and "macdef NAME", up to an empty
 * line, are passed over. Pure; any thread.
 */
#pragma once

#include <stddef.h>

#define NETRC_BYTES_MAX ((size_t)1 << 20)

struct netrc;

struct netrc_entry {
	const char *machine; /* NULL: default */
	const char *login, *password;
};

/*
 * -EINVAL: a word that is none of these, or one without its value: *ret_line is where. -E2BIG,
 * -ENOMEM.
 */
int netrc_parse(const char *text, size_t length, struct netrc **ret, unsigned *ret_line);
/* Secrets are wiped. NULL is fine. */
void netrc_destroy(struct netrc *netrc);

/*
 * The first entry of the machine (with this login, unless that is NULL) or, where there is none,
 * `default`; NULL: neither.
 */
const struct netrc_entry *netrc_find(
	const struct netrc *netrc, const char *machine, const char *login);
