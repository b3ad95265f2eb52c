/* conditions.h - the conditional fields of RFC 9110 section 13. Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <time.h>

#include "request.h"

/* What identifies the representation that would be sent. */
struct validator {
	const char *etag; /* with its quotes; NULL: none */
	time_t modified;
};

/* In the order of section 13.2.2: 0 to go on, 304 or 412. */
int origin_conditions_check(const struct request *request, const struct validator *validator);

/* May the Range field be followed, as far as If-Range is concerned? */
bool origin_if_range_check(
	const struct request *request, const struct validator *validator, time_t now);
