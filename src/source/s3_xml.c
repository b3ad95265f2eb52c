/*
 * s3_xml.c - expat with limits.
 *
 * A walker lives on the caller's stack, for one document. One pass; memory besides expat's own is
 * one element's text. Namespaces are ignored: servers differ in them.
 */
#include "s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

struct walker {
	struct s3_xml *xml;
	XML_Parser parser;
	int result;
	const char *reason;
	unsigned depth;
	size_t path_len;
	size_t text_len;
	char path[S3_XML_PATH_MAX + 1];
	char text[S3_XML_TEXT_MAX + 1];
};

static void walker_stop(struct walker *walker, int result, const char *reason)
{
	if (walker->result == 0) {
		walker->result = result;
		walker->reason = reason;
	}
	XML_StopParser(walker->parser, XML_FALSE);
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system,
	const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	walker_stop(context, -EPROTO, "a document type");
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct walker *walker = context;
	size_t len = strlen(name);

	(void)attributes;
	if (++walker->depth > S3_XML_DEPTH_MAX || walker->path_len + 1 + len > S3_XML_PATH_MAX) {
		walker_stop(walker, -EPROTO, "elements too deep");
		return;
	}
	walker->path[walker->path_len] = '/';
	memcpy(walker->path + walker->path_len + 1, name, len + 1);
	walker->path_len += 1 + len;
	walker->text_len = 0;
}

static void on_end(void *context, const XML_Char *name)
{
	struct walker *walker = context;
	int result;

	/* What was refused has not been put on the path; expat may still report its end. */
	if (walker->result != 0)
		return;
	walker->text[walker->text_len] = '\0';
	result = walker->xml->text(walker->xml, walker->path, walker->text, walker->text_len);
	walker->depth--;
	walker->path_len -= 1 + strlen(name);
	walker->path[walker->path_len] = '\0';
	walker->text_len = 0;
	if (result != 0)
		walker_stop(walker, result, "refused");
}

static void on_text(void *context, const XML_Char *text, int len)
{
	struct walker *walker = context;

	if (walker->text_len + (size_t)len > S3_XML_TEXT_MAX) {
		walker_stop(walker, -EPROTO, "a text that is too long");
		return;
	}
	memcpy(walker->text + walker->text_len, text, (size_t)len);
	walker->text_len += (size_t)len;
}

static void walker_free(struct walker **walker)
{
	if (*walker && (*walker)->parser)
		XML_ParserFree((*walker)->parser);
	free(*walker);
}

int s3_xml_read(struct s3_xml *xml, const char *bytes, size_t len, const char **ret_reason)
{
	cleanup(walker_free) struct walker *walker = calloc(1, sizeof *walker);

	*ret_reason = "out of memory";
	if (!walker || !(walker->parser = XML_ParserCreate("UTF-8")))
		return -ENOMEM;
	if (len > INT_MAX)
		return -EPROTO;
	walker->xml = xml;
	XML_SetUserData(walker->parser, walker);
	XML_SetElementHandler(walker->parser, on_start, on_end);
	XML_SetCharacterDataHandler(walker->parser, on_text);
	XML_SetStartDoctypeDeclHandler(walker->parser, on_doctype);
	if (XML_Parse(walker->parser, bytes, (int)len, 1) == XML_STATUS_ERROR &&
		walker->result == 0) {
		enum XML_Error error = XML_GetErrorCode(walker->parser);

		*ret_reason = XML_ErrorString(error);
		return error == XML_ERROR_NO_MEMORY ? -ENOMEM : -EPROTO;
	}
	*ret_reason = walker->reason;
	return walker->result;
}
