/*
 * probe.h - places at which perf, bpftrace and SystemTap can look at us from outside (USDT): one at
 * the end of each stage of a fault, provider "pagein", named as in stages.h.
 *
 *	pagein:STAGE(offset, length, object)
 *
 * offset and length: of the bytes of the object that it is about, from event to connect those that
 * are asked for, from then on those of the request; a request starts at the page that somebody
 * waits for, which is how stages of one fault are found to belong together. object: which one it
 * is, as an address that means nothing else. `resume` is seen by those who are in that thread: the
 * bench, and maps with PAGEIN_INLINE; its object is another number than the other stages'.
 * tools/trace has ready scripts.
 *
 * A probe that nobody has attached to is one nop and a note in the ELF file. Without <sys/sdt.h>
 * (systemtap-sdt-dev) at build time there is none. perf makes one event of all places of a probe,
 * if all have three arguments; it drops those that are constants.
 */
#pragma once

#include "stages.h"

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
#define PROBE_HERE(name, offset, length, object) DTRACE_PROBE3(pagein, name, offset, length, object)
#else
#define PROBE_HERE(name, offset, length, object) ((void)(offset), (void)(length), (void)(object))
#endif

/* An argument that the compiler would know. */
static inline uint64_t probe_variable(uint64_t value)
{
	__asm__("" : "+r"(value));
	return value;
}

/* stage_is_NAME exists for the names of the list only. */
enum {
#define FAULT_STAGE(upper, lower, words) stage_is_##lower,
	FAULT_STAGES(FAULT_STAGE)
#undef FAULT_STAGE
};

#define STAGE_PROBE(name, offset, length, object)                                                 \
	do {                                                                                      \
		(void)stage_is_##name;                                                            \
		PROBE_HERE(name, (uint64_t)(offset), (uint64_t)(length), (const void *)(object)); \
	} while (0)
