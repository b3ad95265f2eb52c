/*
 * index.h - reads the page that a web server makes of a directory.
 *
 * Understood are nginx's autoindex in HTML and in JSON, caddy's in JSON, and WebDAV's answer to
 * PROPFIND; the HTML reader takes any page whose entries are `<a href=...>` (apache2's, lighttpd's,
 * caddy's, Python's), and then knows names only: their sizes are rounded, or their times are of an
 * unknown zone. Every byte sequence is a legal input: what is not an entry of this very directory
 * is left out, and nothing that leaves this directory is ever reported.
 *
 * Names are what a client would ask for, decoded once: raw bytes, not necessarily UTF-8; never
 * empty, "." or "..", no '/' and no NUL, at most INDEX_NAME_MAX bytes. A link that can't be such a
 * name is skipped and counted; links elsewhere (the parent, other origins, queries) are only
 * skipped. The same name may come twice: a directory and a file, or a hostile page; which one wins
 * is the caller's business.
 *
 * No state is kept between calls: any thread, any number of them. Nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define INDEX_PAGE_MAX ((size_t)64 << 20) /* bytes of a page */
#define INDEX_ENTRIES_MAX 1000000         /* entries of a page */
#define INDEX_NAME_MAX 255                /* bytes of a name: NAME_MAX of Linux */

#define INDEX_SIZE_UNKNOWN UINT64_MAX
#define INDEX_MTIME_UNKNOWN ((time_t)-1)

struct index_page {
	const char *bytes;
	size_t length;
	const char *content_type; /* the header, parameters and all; NULL: judged by the bytes */
	const char *path;         /* of the page's own URL, percent-encoded, from '/' to '/' */
};

/* Lent for the duration of the call. */
struct index_entry {
	const char *name; /* NUL-terminated */
	size_t name_length;
	/*
	 * The path to request is the page's path followed by this: one segment, percent-encoded as
	 * in the page, fit for a request line, with a '/' behind a directory. NUL-terminated.
	 */
	const char *href;
	bool is_dir;
	uint64_t size; /* bytes; INDEX_SIZE_UNKNOWN if absent, rounded ("12K"), or a directory's */
	time_t mtime;  /* in HTML whole minutes, taken for UTC; INDEX_MTIME_UNKNOWN if absent */
	const char *etag; /* with its quotes, where a listing tells (S3, WebDAV); or NULL */
};

struct index_counts {
	size_t entries; /* reported */
	size_t skipped; /* in this directory, but not to be named or not to be understood */
};

/* Anything but 0 ends the walk and becomes the result of index_parse(). */
typedef int index_entry_fn(const struct index_entry *entry, void *context);

/*
 * Calls entry for each entry in the order of the page. ret_counts may be NULL; it is filled in all
 * cases.
 *
 * -EPROTO: not an index page: empty, another content type, malformed JSON, JSON that is no array, a
 * <base> which moves the links, malformed XML, XML that is no multistatus or has a DOCTYPE. -EFBIG:
 * more than INDEX_PAGE_MAX bytes. -E2BIG: more than INDEX_ENTRIES_MAX entries. -ENOMEM. After an
 * error the entries reported so far are no listing: drop them. A cut HTML page is not noticed here
 * but by the length that HTTP promised.
 */
int index_parse(const struct index_page *page, index_entry_fn *entry, void *context,
	struct index_counts *ret_counts);
