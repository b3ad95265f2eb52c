/* text.c - see text.h. */
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int text_print(char **ret, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vasprintf(ret, format, arguments);
	va_end(arguments);
	if (length >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}
