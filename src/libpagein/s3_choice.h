/*
 * s3_choice.h - what a caller of the library has chosen for s3:// URLs: kept, compared, and told to
 * the source. NULL stands for a choice of nothing. Pure; any thread.
 */
#pragma once

#include <stdbool.h>

#include "pagein.h"
#include "s3_config.h"

/* Copies, strings and all, into a zeroed one: the caller's may be gone later. -ENOMEM */
int s3_choice_copy(const struct pagein_s3_options *from, struct pagein_s3_options *to);
/* Frees a copy's strings. A zeroed one is fine. */
void s3_choice_finish(struct pagein_s3_options *choice);

bool s3_choice_same(const struct pagein_s3_options *a, const struct pagein_s3_options *b);

/* With the same strings. */
struct s3_options s3_choice_for_source(const struct pagein_s3_options *choice);
