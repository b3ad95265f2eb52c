/*
 * index_dav.c - the entries of a WebDAV answer to PROPFIND (RFC 4918 sections 9.1 and 14):
 *
 *    <multistatus xmlns="DAV:">
 *      <response> <href>/dir/a%20b</href>
 *        <propstat> <prop> <resourcetype/> <getcontentlength>3</getcontentlength>
 *                          <getlastmodified>Mon, 15 Jan 2024 10:00:00 GMT</getlastmodified>
 *                          <getetag>"3-61"</getetag> </prop>
 *                   <status>HTTP/1.1 200 OK</status> </propstat>
 *      </response> ...
 *
 * Properties of a propstat whose status is not 200 are absent. The directory itself is among the
 * responses, and left out as every link that leads out of it.
 *
 * expat parses, a piece at a time, so that a caller's refusal ends the work. What a hostile page
 * could make large is bounded: a DOCTYPE, and with it every entity, ends the parse; DEPTH_MAX
 * elements inside each other, TEXT_MAX bytes of one that is read; of the others nothing is kept.
 */
#include <errno.h>
#include <expat.h>
#include <string.h>

#include "cleanup.h"
#include "index_private.h"

#define DEPTH_MAX 32
#define TEXT_MAX 8192
#define PIECE_BYTES (1 << 16)

/* Names as expat has them with their namespace: "DAV:" and this before them. */
#define SEPARATOR '|'
#define DAV "DAV:|"

enum element {
	OTHER,
	MULTISTATUS,
	RESPONSE,
	HREF,
	PROPSTAT,
	STATUS,
	PROP,
	RESOURCETYPE,
	COLLECTION,
	LENGTH,
	MODIFIED,
	ETAG,
};

/* Where each may stand; elsewhere, and inside of OTHER, it means nothing. */
static const struct {
	const char *name;
	enum element parent;
} elements[] = {
	[MULTISTATUS] = {DAV "multistatus", OTHER},
	[RESPONSE] = {DAV "response", MULTISTATUS},
	[HREF] = {DAV "href", RESPONSE},
	[PROPSTAT] = {DAV "propstat", RESPONSE},
	[STATUS] = {DAV "status", PROPSTAT},
	[PROP] = {DAV "prop", PROPSTAT},
	[RESOURCETYPE] = {DAV "resourcetype", PROP},
	[COLLECTION] = {DAV "collection", RESOURCETYPE},
	[LENGTH] = {DAV "getcontentlength", PROP},
	[MODIFIED] = {DAV "getlastmodified", PROP},
	[ETAG] = {DAV "getetag", PROP},
};

struct properties {
	bool is_dir;
	uint64_t size;
	time_t mtime;
	char etag[INDEX_NAME_MAX + 1]; /* "": none */
};

struct dav {
	struct index_reader *reader;
	XML_Parser parser;
	enum element open[DEPTH_MAX];
	size_t depth;
	char text[TEXT_MAX]; /* of the innermost element that is read */
	size_t text_length;
	char href[TEXT_MAX];
	size_t href_length;         /* 0: none yet */
	struct properties propstat; /* until its status has come */
	bool is_found;              /* ... which was 200 */
	struct properties found;
	int result;
};

static const struct properties unknown = {.size = INDEX_SIZE_UNKNOWN, .mtime = INDEX_MTIME_UNKNOWN};

static void dav_stop(struct dav *dav, int result)
{
	dav->result = result;
	XML_StopParser(dav->parser, XML_FALSE);
}

static void doctype_started(void *context, const XML_Char *name, const XML_Char *system_id,
	const XML_Char *public_id, int has_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_subset;
	dav_stop(context, -EPROTO);
}

static enum element element_find(const char *name, enum element parent, bool is_root)
{
	for (enum element i = MULTISTATUS; i <= ETAG; i++)
		if (elements[i].parent == parent && (parent != OTHER || is_root) &&
			strcmp(elements[i].name, name) == 0)
			return i;
	return OTHER;
}

static void element_started(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct dav *dav = context;
	enum element parent = dav->depth > 0 ? dav->open[dav->depth - 1] : OTHER;
	enum element element = element_find(name, parent, dav->depth == 0);

	(void)attributes;
	if (dav->result)
		return;
	if (dav->depth == DEPTH_MAX || (dav->depth == 0 && element != MULTISTATUS)) {
		dav_stop(dav, -EPROTO);
		return;
	}
	dav->open[dav->depth++] = element;
	dav->text_length = 0;
	if (element == RESPONSE) {
		dav->href_length = 0;
		dav->found = unknown;
	} else if (element == PROPSTAT) {
		dav->propstat = unknown;
		dav->is_found = false;
	} else if (element == COLLECTION) {
		dav->propstat.is_dir = true;
	}
}

static void text_came(void *context, const XML_Char *text, int length)
{
	struct dav *dav = context;
	enum element element = dav->depth > 0 ? dav->open[dav->depth - 1] : OTHER;

	if (dav->result || (element != HREF && element != STATUS && element < LENGTH))
		return;
	/* Nobody's. What is cut must not be taken for a whole. */
	if ((size_t)length > TEXT_MAX - dav->text_length) {
		dav_stop(dav, -EPROTO);
		return;
	}
	memcpy(dav->text + dav->text_length, text, (size_t)length);
	dav->text_length += (size_t)length;
}

/* Behind "http://host", which is whatever the server thinks it is called. */
static const char *href_path(const char *href, size_t *length)
{
	const char *scheme = memmem(href, *length, "://", 3), *path;

	if (!scheme || memchr(href, '/', (size_t)(scheme - href)))
		return href;
	scheme += 3;
	path = memchr(scheme, '/', *length - (size_t)(scheme - href));
	if (!path)
		return href;
	*length -= (size_t)(path - href);
	return path;
}

static void response_report(struct dav *dav)
{
	struct properties *found = &dav->found;
	struct index_name name;
	size_t length = dav->href_length;
	const char *href = href_path(dav->href, &length);
	enum index_link link = index_link_resolve(dav->reader->page->path, href, length, &name);
	int result;

	dav->reader->counts.skipped += link == INDEX_LINK_UNUSABLE;
	if (link != INDEX_LINK_ENTRY)
		return;
	/* Some servers leave the '/' to the type. */
	if (found->is_dir && !name.is_dir)
		strcat(name.href, "/");
	name.is_dir |= found->is_dir;
	result = index_report(
		dav->reader, &name, found->size, found->mtime, found->etag[0] ? found->etag : NULL);
	if (result)
		dav_stop(dav, result);
}

/* A strong or weak ETag that can be sent back as it is. */
static void etag_keep(struct properties *properties, const char *text, size_t length)
{
	if (length == 0 || length >= sizeof properties->etag)
		return;
	for (size_t i = 0; i < length; i++)
		if (text[i] < 0x20 || text[i] == 0x7f)
			return;
	memcpy(properties->etag, text, length);
	properties->etag[length] = '\0';
}

static void properties_merge(struct properties *to, const struct properties *from)
{
	to->is_dir |= from->is_dir;
	if (from->size != INDEX_SIZE_UNKNOWN)
		to->size = from->size;
	if (from->mtime != INDEX_MTIME_UNKNOWN)
		to->mtime = from->mtime;
	if (from->etag[0])
		memcpy(to->etag, from->etag, sizeof to->etag);
}

static void element_ended(void *context, const XML_Char *name)
{
	struct dav *dav = context;
	const char *text = dav->text;
	size_t length = dav->text_length;
	enum element element;
	time_t mtime;

	(void)name;
	/* expat ends an empty element even where its start has stopped the parse. */
	if (dav->result)
		return;
	element = dav->open[--dav->depth];
	while (length > 0 && ascii_space(text[length - 1]))
		length--;
	for (; length > 0 && ascii_space(*text); length--)
		text++;
	if (element == HREF && dav->href_length == 0) {
		memcpy(dav->href, text, length);
		dav->href_length = length;
	} else if (element == STATUS) {
		dav->is_found = length >= 12 && memcmp(text + 8, " 200", 4) == 0;
	} else if (element == LENGTH) {
		index_size_read(text, length, &dav->propstat.size);
	} else if (element == MODIFIED) {
		if (index_time_read(text, length, INDEX_HTTP_DATE, &mtime) == length)
			dav->propstat.mtime = mtime;
	} else if (element == ETAG) {
		etag_keep(&dav->propstat, text, length);
	} else if (element == PROPSTAT && dav->is_found) {
		properties_merge(&dav->found, &dav->propstat);
	} else if (element == RESPONSE) {
		response_report(dav);
	}
	dav->text_length = 0;
}

static void parser_free(XML_Parser *parser)
{
	XML_ParserFree(*parser);
}

int index_dav_read(struct index_reader *reader)
{
	cleanup(parser_free) XML_Parser parser = XML_ParserCreateNS(NULL, SEPARATOR);
	struct dav dav = {.reader = reader, .parser = parser};
	const struct index_page *page = reader->page;
	size_t at = 0;

	if (!parser)
		return -ENOMEM;
	XML_SetUserData(parser, &dav);
	XML_SetElementHandler(parser, element_started, element_ended);
	XML_SetCharacterDataHandler(parser, text_came);
	XML_SetStartDoctypeDeclHandler(parser, doctype_started);
	while (at < page->length) {
		size_t left = page->length - at;
		int piece = left < PIECE_BYTES ? (int)left : PIECE_BYTES;

		if (XML_Parse(parser, page->bytes + at, piece, (size_t)piece == left) !=
			XML_STATUS_OK) {
			if (dav.result)
				return dav.result;
			return XML_GetErrorCode(parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EPROTO;
		}
		at += (size_t)piece;
	}
	return 0;
}
