/*
 * stages.h - the stages of a fault, or of a read of a mount's file: from the touch until the thread
 * goes on. Each ends where the next begins.
 *
 * This is the only list of them. The source, the core and the doors write down when one is over;
 * `pagein bench` shows them under these names, and probes (probe.h) have these names.
 */
#pragma once

#include <stdint.h>

#define FAULT_STAGES(X)                                                                            \
	X(EVENT, event, "the door reads the fault, or the read")                                   \
	X(SUBMIT, submit, "what to ask for is known, and the source is asked")                     \
	X(CONNECT, connect, "there is a connection, and the request is sent: 0 on a warm one")     \
	X(FIRST_BYTE, first_byte, "the answer's head is here: the way there and back, the server") \
	X(LAST_BYTE, last_byte, "the last byte of the pages is here")                              \
	X(FILL, fill, "the kernel has them")                                                       \
	X(RESUME, resume, "the thread goes on")

enum fault_stage {
#define FAULT_STAGE(upper, lower, words) STAGE_##upper,
	FAULT_STAGES(FAULT_STAGE)
#undef FAULT_STAGE
		STAGE_COUNT,
};

/* When each was over: clock_now_ns(). 0: not known, or it took no time. */
struct fault_stages {
	uint64_t end_ns[STAGE_COUNT];
};

const char *fault_stage_name(enum fault_stage stage);
/* What has happened when it is over. */
const char *fault_stage_words(enum fault_stage stage);

/*
 * How long each took, of a fault that began at start_ns and was over at end_ns: together exactly
 * that long. What was over before the stage before it (a page that was on its way already), or
 * after the thread went on (the copy wakes it before it returns), counts for nothing outside of
 * that.
 */
void fault_stages_split(const struct fault_stages *stages, uint64_t start_ns, uint64_t end_ns,
	uint64_t ret_ns[STAGE_COUNT]);
