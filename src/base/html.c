/*
 * html.c - see html.h. nginx escapes the same four, and the origin's listings are compared with
 * nginx's byte for byte.
 */
#include "html.h"

void html_put(FILE *out, const char *text, size_t len)
{
	for (; len > 0; len--, text++)
		switch (*text) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		default:
			putc(*text, out);
		}
}
