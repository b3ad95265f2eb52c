/*
 * table_index.c - rows: what a web server says is in a directory. Each right page has the name
 * "good" and no other, unless the row says how many.
 */
#include <errno.h>

#include "check.h"
#include "table.h"

#define GOOD "<a href='good'>good</a> 06-May-2024 07:08 5\n"
#define HTML(links) \
	"<html><head><title>Index</title></head><body><pre>\n" links "</pre></body></html>"
#define JSON "header=\"Content-Type: application/json\""
#define XML "header=\"Content-Type: application/xml\""
#define INDEX_OF(n) .subject = INDEX, .names = n

#define DAV(inside)                                                              \
	"method=PROPFIND : status=207 header=\"Content-Type: application/xml\" " \
	"body=\"<?xml version='1.0' encoding='utf-8'?>" inside "\""
#define DAV_FILE(href)                                                                 \
	"<D:response><D:href>" href "</D:href><D:propstat><D:prop><D:resourcetype/>"   \
	"<D:getcontentlength>5</D:getcontentlength></D:prop><D:status>HTTP/1.1 200 OK" \
	"</D:status></D:propstat></D:response>"
#define MULTISTATUS(inside) "<D:multistatus xmlns:D='DAV:'>" inside "</D:multistatus>"
#define NO_SIZES "<a href='good'>good</a>"
/* A server is asked once if it speaks WebDAV, and the mount has asked: only ls asks anew. */
#define DAV_OF(n) .subject = INDEX, .names = n, .only_ls = true, .page = HTML(NO_SIZES)

static void write_name(FILE *to, size_t len)
{
	fprintf(to, "<html><body>" GOOD "<a href='");
	for (size_t i = 0; i < len; i++)
		fputc('n', to);
	fprintf(to, "'>n</a> 06-May-2024 07:08 5\n</body></html>");
}

static void write_name_255(FILE *to, const char *path)
{
	(void)path;
	write_name(to, 255);
}

static void write_name_256(FILE *to, const char *path)
{
	(void)path;
	write_name(to, 256);
}

static void write_long_link(FILE *to, const char *path)
{
	(void)path;
	write_name(to, 1 << 20);
}

static void write_10_mb(FILE *to, const char *path)
{
	(void)path;
	fputs("<html><body><!-- ", to);
	for (size_t i = 0; i < (size_t)10 << 10; i++)
		fprintf(to, "%1023d\n", 0);
	fputs(" -->" GOOD "</body></html>", to);
}

static void write_deep(FILE *to, const char *path)
{
	(void)path;
	for (size_t i = 0; i < 100000; i++)
		fputs("<div>", to);
	fputs(GOOD, to);
}

static void write_deep_json(FILE *to, const char *path)
{
	(void)path;
	for (size_t i = 0; i < 100000; i++)
		fputs("[", to);
}

static void write_links(FILE *to, size_t count)
{
	fputs("<html><body>\n", to);
	for (size_t i = 0; i < count; i++)
		fprintf(to, "<a href='%07zu'>%07zu</a> 06-May-2024 07:08 5\n", i, i);
	fputs("</body></html>", to);
}

static void write_million(FILE *to, const char *path)
{
	(void)path;
	write_links(to, 1000000);
}

static void write_million_and_one(FILE *to, const char *path)
{
	(void)path;
	write_links(to, 1000001);
}

static void write_utf16(FILE *to, const char *path)
{
	static const char text[] = HTML(GOOD);

	(void)path;
	fputs("\xff\xfe", to);
	for (size_t i = 0; i < sizeof text - 1; i++) {
		fputc(text[i], to);
		fputc(0, to);
	}
}

static void write_zeros(FILE *to, const char *path)
{
	(void)path;
	for (size_t i = 0; i < 100000; i++)
		fputc(0, to);
}

const struct hostile index_rows[] = {
	/* Links that lead elsewhere, or nowhere. */
	{"links up", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='../'>..</a><a href='..'>x</a><a href='.'>x</a>"
			     "<a href='./'>x</a><a href='../../etc/'>x</a>" GOOD)},
	{"absolute links", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML(
			"<a href='/'>/</a><a href='/etc/passwd'>x</a><a href='/lists/'>x</a>" GOOD)},
	{"absolute links that stay", NULL, WORKS, WORKS, INDEX_OF(2),
		.page = HTML("<a href='@/x'>x</a> 06-May-2024 07:08 5\n" GOOD)},
	{"cross-origin links", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML(
			"<a href='http://elsewhere.test/x'>x</a><a href='//elsewhere.test/y'>y</a>"
			"<a href='HTTPS://elsewhere.test/@/z'>z</a>" GOOD)},
	{"links of other schemes", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='javascript:alert(1)'>x</a><a href='data:,x'>x</a>"
			     "<a href='mailto:a@@b'>x</a><a href='file:///etc/passwd'>x</a>" GOOD)},
	{"links deeper down", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='a/b'>x</a><a href='a/b/'>x</a><a href='a//'>x</a>" GOOD)},
	{"queries and fragments", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='?C=M;O=D'>x</a><a href='#top'>x</a><a href=''>x</a>" GOOD)},
	{"encoded dots", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='%2e%2e/'>x</a><a href='%2e%2e/'>x</a><a href='%2E'>x</a>"
			     "<a href='.%2e'>x</a>" GOOD)},
	{"double-encoded dots are a name", NULL, WORKS, WORKS, INDEX_OF(2),
		.page = HTML("<a href='%252e%252e%252f'>x</a> 06-May-2024 07:08 5\n" GOOD)},
	{"encoded slashes", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='a%2fb'>x</a><a href='..%2f..%2fetc'>x</a>" GOOD)},
	{"encoded NUL", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='a%00b'>x</a>" GOOD)},
	{"entities that hide dots", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML("<a href='&#46;&#46;/'>x</a><a href='&#x2e;&#x2e;'>x</a>" GOOD)},
	{"a control character is in a name", NULL, WORKS, WORKS, INDEX_OF(2),
		.page = HTML("<a href='a%01b'>x</a> 06-May-2024 07:08 5\n" GOOD)},
	{"bytes that are no UTF-8 are a name", NULL, WORKS, WORKS, INDEX_OF(2),
		.page = HTML("<a href='%ff%fe'>x</a> 06-May-2024 07:08 5\n" GOOD)},
	{"a name of 255 bytes", NULL, WORKS, WORKS, INDEX_OF(2), .write_page = write_name_255},
	{"a name of 256 bytes", NULL, WORKS, WORKS, INDEX_OF(1), .write_page = write_name_256},
	{"a link of 1 MB", NULL, WORKS, WORKS, INDEX_OF(1), .write_page = write_long_link},
	{"the same name twice", NULL, WORKS, WORKS, INDEX_OF(1), .page = HTML(GOOD GOOD)},
	{"sizes that are none", NULL, WORKS, WORKS, INDEX_OF(2),
		.page = HTML("<a href='a'>a</a> 06-May-2024 07:08 99999999999999999999999\n" GOOD)},
	{"times that are none", NULL, WORKS, WORKS, INDEX_OF(2),
		.page = HTML("<a href='a'>a</a> 99-Foo-9999 99:99 5\n" GOOD)},
	{"tags that don't end", NULL, WORKS, WORKS, INDEX_OF(1), .page = HTML(GOOD "<a href='x")},
	{"deep tags", NULL, WORKS, WORKS, INDEX_OF(1), .write_page = write_deep},
	{"scripts", NULL, WORKS, WORKS, INDEX_OF(1),
		.page = HTML(GOOD "<script>var a = \"<b href='x'>\";</script>")},

	/* Pages that are none. */
	{"<base> elsewhere", NULL, FAILS(EPROTO, "not an index page"),
		FAILS(EPROTO, "not an index page"), INDEX_OF(0),
		.page = "<html><base href='http://elsewhere.test/'>" GOOD "</html>"},
	{"an empty page", NULL, FAILS(EPROTO, "not an index page"),
		FAILS(EPROTO, "not an index page"), INDEX_OF(0), .page = ""},
	{"a page of zeros", NULL, WORKS, WORKS, INDEX_OF(0), .write_page = write_zeros},
	{"UTF-16", NULL, WORKS, WORKS, INDEX_OF(0), .write_page = write_utf16},
	{"an encoding that is no name", "header=\"Content-Type: text/html; charset=\\xff\\xfe\"",
		WORKS, WORKS, INDEX_OF(1), .page = HTML(GOOD)},
	{"an image", "header=\"Content-Type: image/png\"", FAILS(EPROTO, "not an index page"),
		FAILS(EPROTO, "not an index page"), INDEX_OF(0), .page = HTML(GOOD)},
	{"gzip", "gzip-label", FAILS(EPROTO, "encoded"), FAILS(EPROTO, "encoded"), INDEX_OF(0),
		.page = HTML(GOOD)},
	{"a page of 10 MB", NULL, WORKS, WORKS, INDEX_OF(1), .write_page = write_10_mb},
	{"a page of 70 MB", "as=/generated/70M header=\"Content-Type: text/html\"",
		FAILS(EFBIG, "too long"), FAILS(EFBIG, "too long"), INDEX_OF(0), .alone = true},
	{"a million links", NULL, TAKES_A_WHILE, {0}, INDEX_OF(1000000),
		.write_page = write_million, .alone = true},
	{"a million links and one", NULL, FAILS(E2BIG, NULL), {0}, INDEX_OF(0),
		.write_page = write_million_and_one, .alone = true},
	{"a page that is cut", "truncate=40", GIVES_UP(EIO, NULL), GIVES_UP(EIO, NULL), INDEX_OF(0),
		.page = HTML(GOOD)},
	{"a page in chunks", "chunked", WORKS, WORKS, INDEX_OF(1), .page = HTML(GOOD)},
	{"a page in chunks that is cut", "chunked truncate=40", GIVES_UP(EIO, NULL),
		GIVES_UP(EIO, NULL), INDEX_OF(0), .page = HTML(GOOD)},
	{"a page that is closed, not counted", "drop-header=Content-Length no-keepalive", WORKS,
		WORKS, INDEX_OF(1), .page = HTML(GOOD)},
	{"a page that stalls", "stall=40", TIMES_OUT(NULL), TIMES_OUT(NULL), INDEX_OF(0),
		.page = HTML(GOOD)},
	{"a page that never comes", "delay=1h", TIMES_OUT(NULL), TIMES_OUT(NULL), INDEX_OF(0),
		.page = HTML(GOOD)},

	/* JSON. */
	{"JSON", JSON, WORKS, WORKS, INDEX_OF(1),
		.page = "[{\"name\":\"good\",\"type\":\"file\",\"size\":5}]"},
	{"JSON: no array", JSON, FAILS(EPROTO, NULL), FAILS(EPROTO, NULL), INDEX_OF(0),
		.page = "{\"name\":\"good\"}"},
	{"JSON: cut", JSON, FAILS(EPROTO, NULL), FAILS(EPROTO, NULL), INDEX_OF(0),
		.page = "[{\"name\":\"good\",\"type\":\"file\",\"si"},
	{"JSON: deep", JSON, FAILS(EPROTO, NULL), FAILS(EPROTO, NULL), INDEX_OF(0),
		.write_page = write_deep_json},
	/* The last one counts. */
	{"JSON: the same key twice", JSON, WORKS, WORKS, INDEX_OF(1),
		.page = "[{\"name\":\"x\",\"name\":\"good\",\"type\":\"file\",\"size\":5}]"},
	{"JSON: names that are none", JSON, WORKS, WORKS, INDEX_OF(1),
		.page = "[{\"name\":\"../x\",\"type\":\"file\",\"size\":5},"
			"{\"name\":\"a/b\",\"type\":\"file\",\"size\":5},"
			"{\"name\":\"\",\"type\":\"file\",\"size\":5},"
			"{\"name\":\"..\",\"type\":\"directory\"},{\"name\":7,\"type\":\"file\"},"
			"{\"name\":\"a\\u0000b\",\"type\":\"file\",\"size\":5},"
			"{\"name\":\"good\",\"type\":\"file\",\"size\":5}]"},
	{"JSON: sizes that are none", JSON, WORKS, WORKS, INDEX_OF(1),
		.page = "[{\"name\":\"a\",\"type\":\"file\",\"size\":-5},"
			"{\"name\":\"b\",\"type\":\"file\",\"size\":1e99},"
			"{\"name\":\"c\",\"type\":\"file\",\"size\":\"5\"},"
			"{\"name\":\"good\",\"type\":\"file\",\"size\":5}]"},
	/* nginx sends names as they are. */
	{"JSON: no UTF-8", JSON, WORKS, WORKS, INDEX_OF(1),
		.page = "[{\"name\":\"\xff\xfe\",\"type\":\"file\",\"size\":5}]"},
	{"JSON that says it is HTML", NULL, WORKS, WORKS, INDEX_OF(0),
		.page = "[{\"name\":\"good\",\"type\":\"file\",\"size\":5}]"},

	/* WebDAV: what it says wrongly is not taken, and the page's names are. */
	{"WebDAV", DAV(MULTISTATUS(DAV_FILE("@/good") DAV_FILE("@/more"))), WORKS, {0}, DAV_OF(2)},
	{"WebDAV: hrefs elsewhere",
		DAV(MULTISTATUS(DAV_FILE("@/../x") DAV_FILE("/etc/passwd")
				DAV_FILE("http://elsewhere.test/x") DAV_FILE("@/good"))),
		WORKS, {0}, DAV_OF(1)},
	{"WebDAV: a DOCTYPE", DAV("<!DOCTYPE a><D:multistatus xmlns:D='DAV:'/>"), WORKS, {0},
		DAV_OF(1)},
	{"WebDAV: a billion laughs",
		DAV("<!DOCTYPE a [<!ENTITY b 'cccccccccc'><!ENTITY d '&b;&b;&b;&b;'>]>" MULTISTATUS(
			DAV_FILE("@/&d;"))),
		WORKS, {0}, DAV_OF(1)},
	{"WebDAV: a file's entity",
		DAV("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>" MULTISTATUS(
			DAV_FILE("@/&b;"))),
		WORKS, {0}, DAV_OF(1)},
	{"WebDAV: cut", DAV("<D:multistatus xmlns:D='DAV:'>" DAV_FILE("@/x")), WORKS, {0},
		DAV_OF(1)},
	{"WebDAV: another document", DAV("<D:error xmlns:D='DAV:'/>"), WORKS, {0}, DAV_OF(1)},
	{"WebDAV: 500", "method=PROPFIND : status=500", WORKS, {0}, DAV_OF(1)},
	{"WebDAV: closed", "method=PROPFIND : close", WORKS, {0}, DAV_OF(1)},
	{"WebDAV: another namespace", DAV("<D:multistatus xmlns:D='DAW:'/>"), WORKS, {0},
		DAV_OF(1)},

	/* Statuses. */
	{"a directory: 204", "status=204", FAILS(EPROTO, NULL), FAILS(EPROTO, NULL), INDEX_OF(0)},
	{"a directory: 401", "status=401", FAILS(EACCES, "HTTP 401"), FAILS(EACCES, "HTTP 401"),
		INDEX_OF(0)},
	{"a directory: 403", "status=403", FAILS(EACCES, "HTTP 403"), FAILS(EACCES, "HTTP 403"),
		INDEX_OF(0)},
	{"a directory: 404", "status=404", FAILS(ENOENT, "HTTP 404"), FAILS(ENOENT, "HTTP 404"),
		INDEX_OF(0)},
	{"a directory: 429", "status=429", GIVES_UP(EIO, "HTTP 429"), GIVES_UP(EIO, "HTTP 429"),
		INDEX_OF(0)},
	{"a directory: 500", "status=500", GIVES_UP(EIO, "HTTP 500"), GIVES_UP(EIO, "HTTP 500"),
		INDEX_OF(0)},
	{"a directory: 503 once", "first=1 : status=503", WORKS, WORKS, INDEX_OF(1)},
	{"a directory: closed once", "first=1 : close", WORKS, WORKS, INDEX_OF(1)},
	{"a directory: closed", "close", GIVES_UP(EIO, NULL), GIVES_UP(EIO, NULL), INDEX_OF(0)},
	{"a directory: reset", "reset", GIVES_UP(EIO, NULL), GIVES_UP(EIO, NULL), INDEX_OF(0)},
	{"a directory: a loop", "status=302 header=\"Location: @/\"",
		FAILS(ELOOP, "too many redirects"), FAILS(ELOOP, "too many redirects"),
		INDEX_OF(0)},
	{"a directory: to file:", "status=302 header=\"Location: file:///etc/\"",
		FAILS(EINVAL, NULL), FAILS(EINVAL, NULL), INDEX_OF(0)},
	{"a directory: to 169.254.169.254",
		"status=302 header=\"Location: http://169.254.169.254/latest/\"",
		FAILS(EACCES, "link-local"), FAILS(EACCES, "link-local"), INDEX_OF(0)},
	{"a directory: moved", "status=302 header=\"Location: /shared/\"", WORKS, WORKS,
		INDEX_OF(12)},
	{"a directory: a flood of header lines", "header-flood=20000", FAILS(EPROTO, "too long"),
		FAILS(EPROTO, "too long"), INDEX_OF(0)},
	{"a directory: odd case", "odd-case", WORKS, WORKS, INDEX_OF(1)},
	{"a directory: HTTP/1.0", "http10", WORKS, WORKS, INDEX_OF(1)},
	{"a right listing", NULL, WORKS, WORKS, INDEX_OF(1)},
};
const size_t index_rows_count = array_len(index_rows);
