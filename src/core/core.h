/*
 * core.h - what the objects of one loop share: the source, the memory for bytes on their way, the
 * limits and the counters.
 *
 * All on the loop's thread, except core_create() and core_destroy(), which belong to who made the
 * loop, while it does not run.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "source.h"

struct budget;
struct figures;
struct loop;
struct core;

#define MEMORY_DEFAULT_BYTES (UINT64_C(64) << 20)

/* Which objects are opened, and what is checked of their bytes: integrity.h says how. */
enum verify {
	VERIFY_AUTO,    /* all; what can be checked, at no request more */
	VERIFY_OFF,     /* all; nothing */
	VERIFY_REQUIRE, /* those that can be checked, at the latest when all has been read */
	VERIFY_BLOCKS,  /* those of which each byte is checked before anybody sees it */
};

struct core_options {
	struct source_options source;
	/* Of blocks; 0: MEMORY_DEFAULT_BYTES. Exceeded only by what readers wait for. */
	uint64_t memory_max_bytes;
	struct budget *budget; /* the same, shared with other cores, and outliving them; or NULL */
	unsigned attempts_max; /* of one request; 0: 16 */
	unsigned timeout_ms;   /* without a whole page arriving; 0: 30,000 */
	unsigned deadline_ms;  /* of whoever waits, whatever has come since; 0: 60,000 */
	enum verify verify;
};

struct core_stats {
	uint64_t retries;
	uint64_t transfers;    /* gauge: under way, or waiting for a connection or an attempt */
	uint64_t objects;      /* gauge */
	uint64_t blocks;       /* gauge */
	uint64_t buffer_bytes; /* gauge: in blocks' buffers */
};

/* options may be NULL. The loop must outlive the core. */
int core_create(struct loop *loop, const struct core_options *options, struct core **ret);

/* No object may be left. NULL is fine. */
void core_destroy(struct core *core);

enum verify core_verify(const struct core *core);
struct loop *core_loop(const struct core *core);
struct source *core_source(const struct core *core);
const struct core_stats *core_stats(struct core *core);
/* Adds all that this core and its source have counted. */
void core_add_figures(struct core *core, struct figures *to);
