/*
 * s3_xml.h - walks a small XML document as S3 servers write them: elements with text, no more.
 *
 * Expat does the reading; refused are document types and with them every entity but the five, text
 * of an element beyond S3_XML_TEXT_MAX, and depth beyond S3_XML_DEPTH_MAX. Pure; any thread.
 */
#pragma once

#include <stddef.h>

#define S3_XML_TEXT_MAX 8192 /* a key of 1024 bytes, all of them encoded, thrice over */
#define S3_XML_DEPTH_MAX 8
#define S3_XML_PATH_MAX 256

struct s3_xml {
	/*
	 * An element has ended: `path` names it and those around it ("/Error/Code"), `text` is its
	 * own, NUL-terminated. Not 0: ends the walk and is its result.
	 */
	int (*text)(struct s3_xml *self, const char *path, const char *text, size_t len);
	void *context;
};

/* -EPROTO with a reason: not such a document, or cut short; -ENOMEM; or what text() said. */
int s3_xml_read(struct s3_xml *xml, const char *bytes, size_t len, const char **ret_reason);
