/* served.c - see served.h. */
#include "served.h"

#include <sys/stat.h>

struct fake fake;
struct client client;
char directory[64];

int start(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/pagein-test-XXXXXX");
	assert_non_null(mkdtemp(directory));
	s3_environment("the-key", "the-secret", NULL);
	fake_start(&fake);
	s3_open(&client, fake.port, NULL);
	return 0;
}

int stop(void **state)
{
	char command[128];

	(void)state;
	client_close(&client);
	fake_stop(&fake);
	snprintf(command, sizeof command, "rm -r %s", directory);
	assert_int_equal(system(command), 0);
	return 0;
}

/* Serves the object, to HEAD and to ranges, as S3 does. */
void serve_object(const struct fake_request *request, struct fake_answer *ret)
{
	const char *range = strstr(request->head, "Range: bytes=");
	unsigned long first = 0, last = sizeof OBJECT - 2;
	char *body = strdup(OBJECT);

	assert_non_null(body);
	ret->status = 200;
	if (range && sscanf(range, "Range: bytes=%lu-%lu", &first, &last) == 2) {
		last = last < sizeof OBJECT - 2 ? last : sizeof OBJECT - 2;
		memmove(body, body + first, last - first + 1);
		body[last - first + 1] = '\0';
		ret->status = 206;
	}
	snprintf(ret->headers + strlen(ret->headers), sizeof ret->headers - strlen(ret->headers),
		"ETag: " ETAG "\r\nLast-Modified: Mon, 06 May 2024 07:08:09 GMT\r\n");
	if (ret->status == 206)
		snprintf(ret->headers + strlen(ret->headers),
			sizeof ret->headers - strlen(ret->headers),
			"Content-Range: bytes %lu-%lu/%zu\r\n", first, last, sizeof OBJECT - 1);
	ret->body = body;
	ret->free_body = true;
}

void refuse(struct fake_answer *ret, unsigned status, const char *body)
{
	ret->status = status;
	ret->body = body;
}

void answer_by_region(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	const char *how = self->context;

	if (fake_says(request, "/eu-west-9/s3/aws4_request")) {
		serve_object(request, ret);
		return;
	}
	if (strcmp(how, "redirect") == 0) {
		strcpy(ret->headers, "x-amz-bucket-region: eu-west-9\r\n");
		refuse(ret, 301, "<Error><Code>PermanentRedirect</Code></Error>");
	} else if (strcmp(how, "malformed") == 0) {
		refuse(ret, 400,
			"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-9"
			"</Region></Error>");
	} else {
		strcpy(ret->headers, "X-Amz-Bucket-Region: eu-west-9\r\n");
		refuse(ret, 403, "<Error><Code>AccessDenied</Code></Error>");
	}
}

void answer_object(struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	(void)self;
	serve_object(request, ret);
}

/* Sessions by a program, a new one each time: "session-1", "session-2", ... */
void use_sessions(void)
{
	char path[128], *text;
	FILE *file;

	s3_environment(NULL, NULL, NULL);
	snprintf(path, sizeof path, "%s/sessions", directory);
	file = fopen(path, "we");
	fprintf(file,
		"#!/bin/sh\necho >>%s/calls\nn=$(wc -l <%s/calls)\n"
		"echo '{\"Version\":1,\"AccessKeyId\":\"key-'$n'\",\"SecretAccessKey\":\"s\","
		"\"SessionToken\":\"session-'$n'\"}'\n",
		directory, directory);
	fclose(file);
	chmod(path, 0700);
	assert_true(asprintf(&text, "[default]\ncredential_process = %s\n", path) > 0);
	snprintf(path, sizeof path, "%s/config", directory);
	file = fopen(path, "we");
	fputs(text, file);
	fclose(file);
	free(text);
	setenv("AWS_CONFIG_FILE", path, 1);
	client_close(&client);
	s3_open(&client, fake.port, NULL);
}

/* The newest session that is let in; the context. */
void answer_by_session(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret)
{
	const char *token = strcasestr(request->head, "x-amz-security-token: session-");

	if (token && strtol(token + 30, NULL, 10) >= *(int *)self->context)
		serve_object(request, ret);
	else
		refuse(ret, 400, "<Error><Code>ExpiredToken</Code></Error>");
}
