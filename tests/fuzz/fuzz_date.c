/*
 * fuzz_date.c - any bytes as a date, in each of the forms that servers have. What is accepted is
 * written anew and means the same instant.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "index_private.h"
#include "s3_credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* As compilers want to see them: literally. */
#define FORM(name, pattern)                                                    \
	static size_t print_##name(char *to, size_t room, const struct tm *tm) \
	{                                                                      \
		return strftime(to, room, pattern, tm);                        \
	}
#define HTTP INDEX_HTTP_DATE
#define NGINX "%d-%b-%Y %H:%M"
#define ISO "%Y-%m-%dT%H:%M:%S"
#define BLANK "%Y-%m-%d %H:%M:%S"
FORM(http, HTTP)
FORM(nginx, NGINX)
FORM(iso, ISO)
FORM(blank, BLANK)

static const struct form {
	const char *pattern;
	size_t (*print)(char *to, size_t room, const struct tm *tm);
} forms[] = {{HTTP, print_http}, {NGINX, print_nginx}, {ISO, print_iso}, {BLANK, print_blank}};

static void check_form(const struct form *form, const char *text, size_t length)
{
	char printed[64];
	struct tm broken;
	time_t time, again;
	size_t used = index_time_read(text, length, form->pattern, &time), size;

	assert(used <= length);
	if (used == 0)
		return;
	assert(gmtime_r(&time, &broken));
	/* strftime() has no leading zeros for years before 1000: they are not written anew. */
	if (broken.tm_year + 1900 < 1000)
		return;
	size = form->print(printed, sizeof printed, &broken);
	assert(size == used);
	assert(index_time_read(printed, size, form->pattern, &again) == size && again == time);
}

static void check_credentials_time(const char *text)
{
	char printed[64];
	struct tm broken;
	int64_t time_s, again_s;
	time_t time;

	if (!s3_time_parse(text, &time_s))
		return;
	time = (time_t)time_s;
	assert(gmtime_r(&time, &broken));
	if (broken.tm_year + 1900 < 1000 || broken.tm_year + 1900 > 9999)
		return;
	strftime(printed, sizeof printed, "%Y-%m-%dT%H:%M:%SZ", &broken);
	assert(s3_time_parse(printed, &again_s) && again_s == time_s);
}

static void check_size(const char *text, size_t length)
{
	uint64_t size, again;
	char printed[32];

	if (!index_size_read(text, length, &size))
		return;
	assert(size <= INT64_MAX);
	snprintf(printed, sizeof printed, "%ju", (uintmax_t)size);
	assert(index_size_read(printed, strlen(printed), &again) && again == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	/* Of exactly this length, so that one byte too many is seen. */
	cleanup_free char *exact = malloc(len ? len : 1), *text = calloc(1, len + 1);

	memcpy(exact, bytes, len);
	memcpy(text, bytes, len);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		check_form(&forms[i], exact, len);
	check_credentials_time(text);
	check_size(exact, len);
	return 0;
}
