/* httpdate.h - dates of HTTP (RFC 9110 section 5.6.7). Any thread; independent of the locale. */
#pragma once

#include <time.h>

#define ORIGIN_DATE_SIZE 30

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
void origin_date_format(time_t when, char text[static ORIGIN_DATE_SIZE]);

/* Takes the two obsolete forms as well; -EINVAL for all else. */
int origin_date_parse(const char *text, time_t *ret);

/* "Jan" ... "Dec" */
const char *origin_month_name(int month);
