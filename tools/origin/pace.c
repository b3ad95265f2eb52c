/*
 * pace.c - cuts a body into pieces, each due when its last byte would have come over a slow link.
 *
 * Pure. Small pieces first, so that the first bytes come as early as from such a link; then large
 * ones, as a thousand connections may be paced by one thread. Due times are added up and not
 * measured, so a timer that is late costs no rate; but a client that reads too slowly may make up
 * for a little only, as the link would have lost that time.
 */
#include "pace.h"

#include <assert.h>

#include "clock.h"

#define PIECE_MIN (UINT64_C(4) << 10)
#define PIECE_MAX (UINT64_C(64) << 10)
/* No piece takes longer than 10 ms. */
#define PIECES_PER_S 100
#define CREDIT_NS (20 * NS_PER_MS)

#define UNLIMITED UINT64_MAX

void origin_pace_start(struct pace *pace, uint64_t rate, uint64_t byte_ns, uint64_t now_ns)
{
	pace->rate = rate;
	pace->byte_ns = byte_ns;
	pace->allowance = rate || byte_ns ? 0 : UNLIMITED;
	if (pace->due_ns < now_ns)
		pace->due_ns = now_ns;
}

static uint64_t piece_size(const struct pace *pace, uint64_t position)
{
	uint64_t quick = pace->rate / PIECES_PER_S;
	uint64_t piece = position;

	if (pace->byte_ns)
		return 1;
	if (piece < PIECE_MIN)
		piece = PIECE_MIN;
	if (piece > PIECE_MAX)
		piece = PIECE_MAX;
	if (piece > quick)
		piece = quick ? quick : 1;
	return piece;
}

uint64_t origin_pace_next(struct pace *pace, uint64_t position, uint64_t left, uint64_t now_ns)
{
	uint64_t piece = piece_size(pace, position);

	assert(!pace->allowance && left);
	if (piece > left)
		piece = left;
	if (pace->due_ns + CREDIT_NS < now_ns)
		pace->due_ns = now_ns - CREDIT_NS;
	pace->due_ns += pace->byte_ns ? pace->byte_ns : piece * NS_PER_S / pace->rate;
	pace->allowance = piece;
	return pace->due_ns;
}

void origin_pace_spend(struct pace *pace, uint64_t count)
{
	assert(count <= pace->allowance);
	if (pace->allowance != UNLIMITED)
		pace->allowance -= count;
}
