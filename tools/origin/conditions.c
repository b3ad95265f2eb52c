/*
 * conditions.c - If-Match and its kin, in the order that RFC 9110 section 13.2.2 prescribes.
 *
 * Pure; any thread. A date that can't be parsed makes its field ignored, as the RFC demands.
 */
#include "conditions.h"

#include <string.h>

#include "httpdate.h"

struct etag {
	bool weak;
	const char *opaque; /* from its opening quote */
	size_t length;
};

/* The first entity-tag of a list; *text moves behind it. */
static bool etag_parse(const char **text, struct etag *ret)
{
	const char *p = *text + strspn(*text, " \t,");
	const char *end;

	ret->weak = p[0] == 'W' && p[1] == '/';
	if (ret->weak)
		p += 2;
	end = *p == '"' ? strchr(p + 1, '"') : NULL;
	if (!end)
		return false;
	ret->opaque = p;
	ret->length = (size_t)(end + 1 - p);
	*text = end + 1;
	return true;
}

static bool etag_equal(const struct etag *a, const struct etag *b, bool strong)
{
	if (strong && (a->weak || b->weak))
		return false;
	return a->length == b->length && !memcmp(a->opaque, b->opaque, a->length);
}

static bool etag_listed(const char *list, const struct validator *validator, bool strong)
{
	const char *own = validator->etag ? validator->etag : "";
	struct etag mine, other;

	if (!strcmp(list, "*"))
		return true;
	if (!etag_parse(&own, &mine))
		return false;
	while (etag_parse(&list, &other))
		if (etag_equal(&mine, &other, strong))
			return true;
	return false;
}

int origin_conditions_check(const struct request *request, const struct validator *validator)
{
	const char *match = request->fields[FIELD_IF_MATCH];
	const char *none_match = request->fields[FIELD_IF_NONE_MATCH];
	const char *unmodified = request->fields[FIELD_IF_UNMODIFIED_SINCE];
	const char *modified = request->fields[FIELD_IF_MODIFIED_SINCE];
	time_t date;

	if (match) {
		if (!etag_listed(match, validator, true))
			return 412;
	} else if (unmodified && !origin_date_parse(unmodified, &date)) {
		if (validator->modified > date)
			return 412;
	}
	if (none_match)
		return etag_listed(none_match, validator, false) ? 304 : 0;
	if (modified && !origin_date_parse(modified, &date) && validator->modified <= date)
		return 304;
	return 0;
}

bool origin_if_range_check(
	const struct request *request, const struct validator *validator, time_t now)
{
	const char *value = request->fields[FIELD_IF_RANGE];
	const char *own = validator->etag ? validator->etag : "";
	struct etag mine, other;
	time_t date;

	if (!value)
		return true;
	if (!origin_date_parse(value, &date))
		/* Within its own second a date does not tell two versions apart. */
		return date == validator->modified && validator->modified < now;
	return etag_parse(&value, &other) && etag_parse(&own, &mine) &&
	       etag_equal(&mine, &other, true);
}
