/*
 * manifest_load.h - reads the text of a manifest into its table, by any source. On the loop's
 * thread.
 */
#pragma once

#include "loop.h"
#include "manifest_table.h"
#include "source.h"

#define MANIFEST_BYTES_MAX (UINT64_C(4) << 30)

struct manifest_load {
	/* by its owner, who keeps it until done() or manifest_load_finish() */
	struct source *source;
	const char *url;
	struct manifest_table *table;
	/* 0: the table is whole; else reason has words, "12: ..." where the text is wrong. */
	void (*done)(struct manifest_load *self, int err);
	char reason[SOURCE_ERROR_MAX];
	/* its own */
	struct probe probe;
	bool probes; /* under way */
	struct remote *remote;
	struct exchange exchange;
	bool gets;               /* under way */
	uint64_t at;             /* bytes that the table has */
	unsigned attempts;       /* that failed one after the other */
	uint64_t random;         /* of the pauses between them */
	struct loop_timer timer; /* the next one, or the end */
	int err;                 /* of the text */
	uint8_t *buffer;
};

/* 0, and done() follows, not from inside this call; -errno: reason has words. */
int manifest_load_start(struct manifest_load *load);
/* Ends it at whatever stage; a zeroed one is fine. */
void manifest_load_finish(struct manifest_load *load);
