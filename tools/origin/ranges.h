/* ranges.h - the Range field of RFC 9110 section 14.2. Pure; any thread. */
#pragma once

#include <stdint.h>

#include "range.h"

enum range_kind {
	RANGE_NONE,    /* no such field, or one that must be ignored: send everything */
	RANGE_BOUNDED, /* first-last, or first- with last UINT64_MAX */
	RANGE_SUFFIX,  /* the last `first` bytes */
};

struct range_spec {
	enum range_kind kind;
	uint64_t first;
	uint64_t last;
};

/* value NULL: no field. What is malformed, of another unit, or several ranges gives RANGE_NONE. */
struct range_spec origin_range_parse(const char *value);

/* The bytes of an object of that size: 200 (all of them), 206, or 416 (ret is empty). */
int origin_range_resolve(struct range_spec spec, uint64_t size, struct range *ret);
