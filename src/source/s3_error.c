/*
 * s3_error.c - the table of S3's error codes, and the reader of the XML that they come in.
 *
 * Sources: Amazon's "List of error codes", and what radosgw, MinIO, Google, R2 and B2 say in the
 * same cases. A code that is not here means what its status means.
 */
#include "s3_error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_head.h"
#include "s3_xml.h"

static const struct {
	const char *code;
	struct s3_meaning meaning;
} meanings[] = {
	{"AccessDenied", {-EACCES, S3_FINAL, "access denied"}},
	{"AllAccessDisabled", {-EACCES, S3_FINAL, "access denied: all access is disabled"}},
	{"AccountProblem", {-EACCES, S3_FINAL, "access denied: a problem with the account"}},
	{"AuthorizationHeaderMalformed", {-EACCES, S3_REGION, "signed for another region"}},
	{"BadDigest", {-EIO, S3_AGAIN, NULL}},
	{"ExpiredToken", {-EACCES, S3_REFRESH, "the session token has expired"}},
	{"ExpiredTokenException", {-EACCES, S3_REFRESH, "the session token has expired"}},
	{"IllegalLocationConstraintException", {-EACCES, S3_REGION, "it is in another region"}},
	{"InternalError", {-EIO, S3_AGAIN, "internal error of the server"}},
	/* radosgw forgets a session that has expired. */
	{"InvalidAccessKeyId", {-EACCES, S3_SESSION, "the server does not know the access key"}},
	{"InvalidBucketName", {-EINVAL, S3_FINAL, "not a bucket's name"}},
	{"InvalidObjectState", {-EACCES, S3_FINAL, "archived: restore the object first"}},
	{"InvalidRange", {-ESTALE, S3_FINAL, "the range is not inside the object"}},
	{"InvalidRequest", {-EINVAL, S3_FINAL, NULL}},
	{"InvalidToken", {-EACCES, S3_REFRESH, "the session token is not valid"}},
	{"KeyTooLongError", {-ENAMETOOLONG, S3_FINAL, "the key is too long"}},
	{"MethodNotAllowed", {-ENOENT, S3_FINAL, "a delete marker"}},
	{"NoSuchBucket", {-ENOENT, S3_FINAL, "no such bucket"}},
	{"NoSuchKey", {-ENOENT, S3_FINAL, "no such key"}},
	{"NoSuchVersion", {-ESTALE, S3_FINAL, "this version is gone"}},
	{"PermanentRedirect", {-EREMOTE, S3_REGION, "the bucket is in another region"}},
	{"PreconditionFailed", {-ESTALE, S3_FINAL, "the object has changed"}},
	{"Redirect", {-EREMOTE, S3_REGION, "the bucket is in another region"}},
	{"RequestExpired", {-EACCES, S3_CLOCK, "the signature has expired"}},
	{"RequestTimeTooSkewed", {-EACCES, S3_CLOCK, "the clocks differ too much"}},
	{"RequestTimeout", {-ETIMEDOUT, S3_AGAIN, NULL}},
	{"ServiceUnavailable", {-EIO, S3_AGAIN, "the service is not available"}},
	{"SignatureDoesNotMatch", {-EACCES, S3_FINAL, "wrong secret key"}},
	{"SlowDown", {-EIO, S3_AGAIN, "the server asks for fewer requests"}},
	{"TemporaryRedirect", {-EREMOTE, S3_REGION, "the bucket is in another region"}},
	{"TokenRefreshRequired", {-EACCES, S3_REFRESH, "the session token must be renewed"}},
	{"UserSuspended", {-EACCES, S3_FINAL, "access denied: the user is suspended"}},
};

struct s3_meaning s3_error_meaning(const char *code, unsigned status)
{
	struct http_status_errno entry = http_status_errno(status, true);

	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (strcmp(meanings[i].code, code) == 0)
			return meanings[i].meaning;
	/* Answers without words: the region may be in a header. */
	if (status == 301 || status == 307 || status == 400 || status == 403)
		return (struct s3_meaning){status < 400 ? -EREMOTE : entry.err, S3_REGION, NULL};
	return (struct s3_meaning){entry.err, entry.again ? S3_AGAIN : S3_FINAL, NULL};
}

/* ---- the XML ------------------------------------------------------------------------------ */

static void copy_text(char *to, size_t room, const char *text)
{
	size_t used = 0;

	/* It goes into logs and onto terminals. */
	for (; *text && used + 1 < room; text++)
		if ((unsigned char)*text >= ' ' && (unsigned char)*text < 0x7f)
			to[used++] = *text;
	to[used] = '\0';
}

static int error_text(struct s3_xml *xml, const char *path, const char *text, size_t len)
{
	struct s3_error *error = xml->context;

	(void)len;
	if (strcmp(path, "/Error/Code") == 0)
		copy_text(error->code, sizeof error->code, text);
	else if (strcmp(path, "/Error/Message") == 0)
		copy_text(error->message, sizeof error->message, text);
	else if (strcmp(path, "/Error/Region") == 0)
		copy_text(error->region, sizeof error->region, text);
	return 0;
}

void s3_error_parse(const char *bytes, size_t len, struct s3_error *ret)
{
	struct s3_xml xml = {.text = error_text, .context = ret};
	const char *reason;

	*ret = (struct s3_error){0};
	if (s3_xml_read(&xml, bytes, len, &reason) < 0)
		*ret = (struct s3_error){0};
}
