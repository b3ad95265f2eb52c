/* stages.c - see stages.h. Owns nothing; any thread. */
#include "stages.h"

static const struct {
	const char *name, *words;
} rows[] = {
#define FAULT_STAGE(upper, lower, words) {#lower, words},
	FAULT_STAGES(FAULT_STAGE)
#undef FAULT_STAGE
};

const char *fault_stage_name(enum fault_stage stage)
{
	return rows[stage].name;
}

const char *fault_stage_words(enum fault_stage stage)
{
	return rows[stage].words;
}

void fault_stages_split(const struct fault_stages *stages, uint64_t start_ns, uint64_t end_ns,
	uint64_t ret_ns[STAGE_COUNT])
{
	uint64_t at_ns = start_ns;

	for (int i = 0; i < STAGE_COUNT; i++) {
		uint64_t over_ns = i == STAGE_RESUME ? end_ns : stages->end_ns[i];

		if (over_ns > end_ns)
			over_ns = end_ns;
		if (over_ns < at_ns)
			over_ns = at_ns;
		ret_ns[i] = over_ns - at_ns;
		at_ns = over_ns;
	}
}
