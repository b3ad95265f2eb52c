/*
 * table_bucket.c - rows: what S3 says is in a bucket. @ is the prefix that is asked for.
 */
#include <errno.h>

#include "check.h"
#include "table.h"

#define HEAD "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>bucket</Name>"
#define PAGE(inside) HEAD inside "</ListBucketResult>"
#define KEY(key)                                                             \
	"<Contents><Key>" key "</Key><LastModified>2024-05-06T07:08:09.123Z" \
	"</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size></Contents>"
#define PREFIX(prefix) "<CommonPrefixes><Prefix>" prefix "</Prefix></CommonPrefixes>"
#define MORE(token) \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"
#define BUCKET_OF(n) .subject = BUCKET, .names = n
#define ERROR(status, code)                                                                       \
	"status=" status " header=\"Content-Type: application/xml\" body=\"<?xml version='1.0'?>" \
	"<Error><Code>" code "</Code><Message>m</Message></Error>\""
#define WRONG(name, words, text)                                                                   \
	{                                                                                          \
		name, NULL, FAILS(EPROTO, words), FAILS(EPROTO, words), BUCKET_OF(0), .page = text \
	}
#define RIGHT(name, count, text)                                         \
	{                                                                \
		name, NULL, WORKS, WORKS, BUCKET_OF(count), .page = text \
	}
#define ANSWER(text) "status=200 header=\"Content-Type: application/xml\" body=\"" text "\""

static void write_long_key(FILE *to, const char *prefix)
{
	fprintf(to, HEAD "<Contents><Key>%s", prefix);
	for (size_t i = 0; i < 2000; i++)
		fputc('k', to);
	fputs("</Key><Size>1</Size></Contents></ListBucketResult>", to);
}

static void write_huge_text(FILE *to, const char *prefix)
{
	fprintf(to, HEAD "<Contents><Key>%s", prefix);
	for (size_t i = 0; i < 1 << 20; i++)
		fputc('k', to);
	fputs("</Key><Size>1</Size></Contents></ListBucketResult>", to);
}

static void write_10_mb(FILE *to, const char *prefix)
{
	fprintf(to, HEAD "<Contents><Key>%sgood</Key><Size>1</Size></Contents>", prefix);
	for (size_t i = 0; i < (size_t)10 << 10; i++)
		fprintf(to, "%1024s", "");
	fputs("</ListBucketResult>", to);
}

static void write_keys(FILE *to, const char *prefix, unsigned count)
{
	fputs(HEAD, to);
	for (unsigned i = 0; i < count; i++)
		fprintf(to, "<Contents><Key>%sk%04u</Key><Size>1</Size></Contents>", prefix, i);
	fputs("</ListBucketResult>", to);
}

static void write_1000_keys(FILE *to, const char *prefix)
{
	write_keys(to, prefix, 1000);
}

static void write_1001_keys(FILE *to, const char *prefix)
{
	write_keys(to, prefix, 1001);
}

const struct hostile bucket_rows[] = {
	WRONG("S3: an empty page", "no element", ""),
	WRONG("S3: cut short", "bucket", HEAD KEY("@a")),
	WRONG("S3: cut in a tag", "bucket", HEAD KEY("@a") "<Cont"),
	WRONG("S3: HTML", "bucket", "<html><body>hello</body>"),
	WRONG("S3: a DOCTYPE", "document type",
		"<!DOCTYPE a><ListBucketResult><Name>bucket</Name></ListBucketResult>"),
	WRONG("S3: a billion laughs", "document type",
		"<!DOCTYPE a [<!ENTITY b 'cccccccccc'><!ENTITY d '&b;&b;&b;&b;'>]>" PAGE(
			KEY("@&d;"))),
	WRONG("S3: an outer entity", "document type",
		"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><ListBucketResult></ListBucketResult>"),
	WRONG("S3: an unknown entity", "entity", PAGE(KEY("@&nbsp;"))),
	WRONG("S3: a control character", "invalid token", PAGE(KEY("@a\x01"))),
	WRONG("S3: another encoding", NULL,
		"<?xml version='1.0' encoding='EBCDIC'?><ListBucketResult></ListBucketResult>"),
	WRONG("S3: bytes that are no UTF-8", "invalid token", PAGE(KEY("@\xff\xfe"))),
	WRONG("S3: too deep", "too deep",
		PAGE("<a><a><a><a><a><a><a><a><a></a></a></a></a></a></a></a></a></a>")),
	WRONG("S3: another document", "ListBucketResult",
		"<ListAllMyBucketsResult></ListAllMyBucketsResult>"),
	WRONG("S3: an error with 200", NULL,
		"<Error><Code>InternalError</Code><Message>m</Message></Error>"),
	WRONG("S3: another bucket", "another bucket",
		"<ListBucketResult><Name>other</Name>" KEY("@a") "</ListBucketResult>"),
	WRONG("S3: no bucket", "bucket", "<ListBucketResult>" KEY("@a") "</ListBucketResult>"),
	WRONG("S3: another prefix's key", "not asked for", PAGE(KEY("elsewhere/a"))),
	WRONG("S3: a slash behind the delimiter", "not asked for", PAGE(KEY("@a/b"))),
	WRONG("S3: a directory without a slash", "not asked for", PAGE(PREFIX("@a"))),
	WRONG("S3: a directory elsewhere", "not asked for", PAGE(PREFIX("../"))),
	WRONG("S3: no size", "refused", PAGE("<Contents><Key>@a</Key></Contents>")),
	WRONG("S3: a negative size", "refused",
		PAGE("<Contents><Key>@a</Key><Size>-1</Size></Contents>")),
	WRONG("S3: a size beyond INT64_MAX", "refused",
		PAGE("<Contents><Key>@a</Key><Size>9223372036854775808</Size></Contents>")),
	WRONG("S3: no key", "refused", PAGE("<Contents><Size>1</Size></Contents>")),
	WRONG("S3: two keys in one", "refused",
		PAGE("<Contents><Key>@a</Key><Key>@b</Key><Size>1</Size></Contents>")),
	WRONG("S3: more without a token", "no token", PAGE("<IsTruncated>true</IsTruncated>")),
	WRONG("S3: the same token for ever", "come before", PAGE(KEY("@a") MORE("t"))),
	{"S3: other tokens for ever", ANSWER(PAGE(MORE("t{n}"))), FAILS(EPROTO, "don't end"),
		FAILS(EPROTO, "don't end"), BUCKET_OF(0)},
	{"S3: a key of 2,000 bytes", NULL, FAILS(EPROTO, NULL), FAILS(EPROTO, NULL), BUCKET_OF(0),
		.write_page = write_long_key},
	{"S3: a key of 1 MB", NULL, FAILS(EPROTO, NULL), FAILS(EPROTO, NULL), BUCKET_OF(0),
		.write_page = write_huge_text},
	{"S3: a page of 10 MB", NULL, FAILS(EFBIG, "too long"), FAILS(EFBIG, "too long"),
		BUCKET_OF(0), .write_page = write_10_mb},
	{"S3: more keys than were asked for", NULL, FAILS(EPROTO, NULL), FAILS(EPROTO, NULL),
		BUCKET_OF(0), .write_page = write_1001_keys},
	{"S3: a full page", NULL, WORKS, WORKS, BUCKET_OF(1000), .write_page = write_1000_keys},

	/* A directory is a prefix of keys: without one there is none. */
	{"S3: nothing", NULL, FAILS(ENOENT, "no key begins so"), FAILS(ENOENT, NULL), BUCKET_OF(0),
		.page = PAGE("")},
	RIGHT("S3: keys out of order", 3, PAGE(KEY("@c") KEY("@a") KEY("@b"))),
	RIGHT("S3: unknown elements", 1, PAGE("<New><Thing>1</Thing></New>" KEY("@a"))),
	RIGHT("S3: comments and blanks", 1, PAGE("<!-- a -->\n\t " KEY("@a") "\n")),
	RIGHT("S3: a namespace", 1,
		"<ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Name>bucket"
		"</Name>" KEY("@a") "</ListBucketResult>"),
	RIGHT("S3: encoded keys", 1, PAGE("<EncodingType>url</EncodingType>" KEY("@a%01b"))),
	RIGHT("S3: an odd time", 1,
		PAGE("<Contents><Key>@a</Key><LastModified>yesterday</LastModified><Size>1</Size>"
		     "</Contents>")),
	{"S3: chunked", "chunked", WORKS, WORKS, BUCKET_OF(1), .page = PAGE(KEY("@a"))},
	{"S3: HTTP/1.0", "http10", WORKS, WORKS, BUCKET_OF(1), .page = PAGE(KEY("@a"))},
	{"S3: the first answer is 503", "first=1 : " ERROR("503", "SlowDown"), WORKS, WORKS,
		BUCKET_OF(1)},
	{"S3: the first answer is cut", "first=1 : truncate=50", WORKS, WORKS, BUCKET_OF(1)},

	{"S3: 403", ERROR("403", "AccessDenied"), FAILS(EACCES, "AccessDenied"),
		FAILS(EACCES, "AccessDenied"), BUCKET_OF(0)},
	{"S3: 404", ERROR("404", "NoSuchBucket"), FAILS(ENOENT, "NoSuchBucket"),
		FAILS(ENOENT, "NoSuchBucket"), BUCKET_OF(0)},
	{"S3: 400", ERROR("400", "InvalidArgument"), FAILS(EINVAL, "InvalidArgument"),
		FAILS(EINVAL, "InvalidArgument"), BUCKET_OF(0)},
	{"S3: 503", ERROR("503", "SlowDown"), GIVES_UP(EIO, "SlowDown"), GIVES_UP(EIO, "SlowDown"),
		BUCKET_OF(0)},
	{"S3: 500 without words", "status=500", GIVES_UP(EIO, "500"), GIVES_UP(EIO, "500"),
		BUCKET_OF(0)},
	{"S3: a redirect elsewhere", "status=307 header=\"Location: http://127.0.0.1:1/\"",
		FAILS(EREMOTE, NULL), FAILS(EREMOTE, NULL), BUCKET_OF(0)},
	{"S3: a region that is no name",
		ERROR("301", "PermanentRedirect") " header=\"x-amz-bucket-region: a.evil.test/\"",
		FAILS(EREMOTE, NULL), FAILS(EREMOTE, NULL), BUCKET_OF(0)},
	{"S3: a page that is cut", "truncate=50", GIVES_UP(EIO, NULL), GIVES_UP(EIO, NULL),
		BUCKET_OF(0)},
	{"S3: a page that stalls", "stall=50", TIMES_OUT(NULL), TIMES_OUT(NULL), BUCKET_OF(0)},
	{"S3: a page that never comes", "delay=1h", TIMES_OUT(NULL), TIMES_OUT(NULL), BUCKET_OF(0)},
	{"S3: closed", "close", GIVES_UP(EIO, NULL), GIVES_UP(EIO, NULL), BUCKET_OF(0)},
	{"S3: reset", "reset", GIVES_UP(EIO, NULL), GIVES_UP(EIO, NULL), BUCKET_OF(0)},
	{"S3: a flood of header lines", "header-flood=20000", FAILS(EPROTO, "too long"),
		FAILS(EPROTO, "too long"), BUCKET_OF(0)},
	{"S3: gzip", "gzip-label", FAILS(EPROTO, NULL), FAILS(EPROTO, NULL), BUCKET_OF(0)},
};
const size_t bucket_rows_count = array_len(bucket_rows);
