#include <errno.h>

#include "check.h"
#include "table.h"

const struct hostile bucket_rows[] = {
	{"a right listing", NULL, WORKS, WORKS, .subject = BUCKET, .names = 1},
};
const size_t bucket_rows_count = array_len(bucket_rows);
