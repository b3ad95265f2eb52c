/* scarce.c - see scarce.h. */
#include "scarce.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned left; /* 1: the next one fails; 0: none does */
static bool has_failed;

void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_calloc(size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__real_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);
char *__real_strndup(const char *text, size_t size);
int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
int __real_vasprintf(char **ret, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
/* A fortified build's. */
int __wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list arguments)
	__attribute__((format(printf, 3, 0)));

void scarce_begin(unsigned n)
{
	left = n + 1;
	has_failed = false;
}

bool scarce_end(void)
{
	left = 0;
	return has_failed;
}

static bool fails(void)
{
	bool now = left == 1;

	left -= left > 0;
	has_failed |= now;
	return now;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
	return fails() ? NULL : __real_strndup(text, size);
}

int __wrap_vasprintf(char **ret, const char *format, va_list arguments)
{
	if (fails()) {
		/* What it holds then, nobody may look at. */
		*ret = (char *)8;
		return -1;
	}
	return __real_vasprintf(ret, format, arguments);
}

int __wrap___vasprintf_chk(char **ret, int flag, const char *format, va_list arguments)
{
	(void)flag;
	return __wrap_vasprintf(ret, format, arguments);
}
