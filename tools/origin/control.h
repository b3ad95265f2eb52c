/* control.h - /.origin/: counters, and another script. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct answer;
struct origin;

#define ORIGIN_SCRIPT_MAX (1 << 20)

/* Is origin->request for us? Then its body has to be received, and handed over with it. */
bool origin_control_wanted(const struct origin *origin);

/* body is terminated by a NUL behind its length. */
int origin_control_answer(
	struct origin *origin, const char *body, size_t length, struct answer *answer);
