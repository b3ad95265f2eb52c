/*
 * httpdate.c - writes and reads the dates of HTTP. Pure; any thread.
 *
 * strftime() and strptime() would follow the locale of the program that embeds this.
 */
#include "httpdate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

const char *origin_month_name(int month)
{
	static const char names[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

	return names[month];
}

void origin_date_format(time_t when, char text[static ORIGIN_DATE_SIZE])
{
	/* gmtime_r() fails for years that don't fit an int, and leaves this one. */
	struct tm tm = {.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
	char wide[96];

	gmtime_r(&when, &tm);
	snprintf(wide, sizeof(wide), "%.3s, %02d %s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
		tm.tm_mday, origin_month_name(tm.tm_mon), tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		tm.tm_sec);
	memcpy(text, wide, ORIGIN_DATE_SIZE - 1);
	text[ORIGIN_DATE_SIZE - 1] = '\0';
}

static int month_number(const char *name)
{
	for (int month = 0; month < 12; month++)
		if (!strncmp(months + 3 * month, name, 3))
			return month;
	return -1;
}

static bool date_scan(const char *text, struct tm *tm, char month[static 4])
{
	int end = 0;

	/* Sun, 06 Nov 1994 08:49:37 GMT */
	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &tm->tm_mday, month,
		    &tm->tm_year, &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &end) == 6 &&
		end && !text[end])
		return true;
	/* Sunday, 06-Nov-94 08:49:37 GMT: two digits mean the last hundred years, more or less */
	if (sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &tm->tm_mday, month,
		    &tm->tm_year, &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &end) == 6 &&
		end && !text[end]) {
		tm->tm_year += tm->tm_year < 70 ? 2000 : 1900;
		return true;
	}
	/* Sun Nov  6 08:49:37 1994 */
	return sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &tm->tm_mday,
		       &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &tm->tm_year, &end) == 6 &&
	       end && !text[end];
}

int origin_date_parse(const char *text, time_t *ret)
{
	struct tm tm = {0};
	char month[4];

	if (!date_scan(text, &tm, month))
		return -EINVAL;
	tm.tm_mon = month_number(month);
	if (tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
		tm.tm_min > 59 || tm.tm_sec > 60)
		return -EINVAL;
	tm.tm_year -= 1900;
	*ret = timegm(&tm);
	return 0;
}
