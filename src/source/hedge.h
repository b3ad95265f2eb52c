/*
 * hedge.h - when a second request for the same bytes pays: a server's times to first byte of late,
 * a credit, and the decision. Pure: time comes in as numbers, nothing is sent here.
 *
 * Two reasons to ask a second time, on another connection, while the first goes on; the answer that
 * begins first is taken:
 *
 *	HEDGE_TAIL   a few answers of this server come far later than the others do
 *	HEDGE_STALL  one has not begun, or not gone on, after four times the median and 1.5 s: the
 *	             connection, or what is behind its address, is taken for dead
 *
 * Both are paid from one credit: `percent` requests for each hundred answers, so that a server
 * which is slow as a whole is not given more to do. All on the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HEDGE_PERCENT 5 /* default */
#define HEDGE_STALL_NS (UINT64_C(1500) * 1000000)
#define HEDGE_NEVER_NS UINT64_MAX

/* Four buckets for each power of two from 16 us to 18 min: each time to within a fifth. */
#define HEDGE_BUCKETS 105

enum hedge_reason {
	HEDGE_TAIL,
	HEDGE_STALL,
};

struct hedge {
	unsigned percent; /* 0: never a second request */
	unsigned credit;  /* in hundredths of a request */
	unsigned won;     /* of late, in 1/256: second requests that were answered first */
	unsigned held;    /* not sent since the last one, because they do not win */
	unsigned answers; /* in seen[] */
	unsigned fresh;   /* of these, not in the plan yet */
	uint16_t seen[HEDGE_BUCKETS]; /* answers of late, by their time to first byte */
	/* the plan: how long after a request is another one worth it? */
	uint64_t tail_ns;  /* HEDGE_NEVER_NS: this server's tail does not pay for it */
	uint64_t stall_ns; /* at least HEDGE_STALL_NS */
};

/* percent: of requests, that may be asked a second time. */
void hedge_init(struct hedge *hedge, unsigned percent);

/* An answer has come. */
void hedge_earn(struct hedge *hedge);

/* ... so long after its request, for which somebody waited. A few ns; some 100 each 32nd time. */
void hedge_note(struct hedge *hedge, uint64_t first_byte_ns);

/* One was given up, as another had answered, when it had waited so long: who knows until when. */
void hedge_note_lost(struct hedge *hedge, uint64_t waited_ns);

/* Of two requests the second was answered first, or not. */
void hedge_note_winner(struct hedge *hedge, bool is_second);

/* How long to wait for a request's answer before hedge_take() is worth a question. */
static inline uint64_t hedge_wait_ns(const struct hedge *hedge)
{
	return hedge->tail_ns < hedge->stall_ns ? hedge->tail_ns : hedge->stall_ns;
}

/* May a second request be sent? Then it is paid for. */
bool hedge_take(struct hedge *hedge, enum hedge_reason reason);

/* It was not sent after all. */
void hedge_give_back(struct hedge *hedge);
