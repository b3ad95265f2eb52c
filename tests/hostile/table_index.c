#include <errno.h>

#include "check.h"
#include "table.h"

const struct hostile index_rows[] = {
	{"a right listing", NULL, WORKS, WORKS, .subject = INDEX, .names = 1},
};
const size_t index_rows_count = array_len(index_rows);
