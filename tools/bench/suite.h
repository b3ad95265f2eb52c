/* suite.h - the standard set of `pagein bench --suite`. The main thread's. */
#pragma once

#include "bench.h"

/* Runs all scenarios that SOURCE, or the embedded server, can play. -errno after one line on
 * stderr. */
int bench_suite(const struct options *options, struct bench_record *record);
