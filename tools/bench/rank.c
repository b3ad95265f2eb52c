/*
 * rank.c - see rank.h. Owns nothing.
 *
 * U counts the pairs whose a is below their b. If all orders are equally likely, those with a
 * certain U are as many as the coefficient of q^U in the Gaussian binomial of (n + m) over n, which
 * is multiplied out: a few hundred additions for the handful of runs there are.
 */
#include "rank.h"

#include <math.h>
#include <stdint.h>

#define EXACT_MAX 20

/* Ties are half a pair: it makes the test no bolder. */
static double pairs_below(const double *a, size_t n, const double *b, size_t m)
{
	double pairs = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < m; j++)
			pairs += a[i] < b[j] ? 1 : a[i] > b[j] ? 0 : 0.5;
	return pairs;
}

/* How likely is a U of at most u, a whole number below n * m / 2. */
static double exact_tail(size_t n, size_t m, size_t u)
{
	double ways[EXACT_MAX * EXACT_MAX + 1] = {1}, all = 0, tail = 0;
	size_t degree = n * m;

	for (size_t i = 1; i <= n; i++) {
		for (size_t at = degree; at >= m + i; at--)
			ways[at] -= ways[at - (m + i)];
		for (size_t at = i; at <= degree; at++)
			ways[at] += ways[at - i];
	}
	for (size_t at = 0; at <= degree; at++) {
		all += ways[at];
		tail += at <= u ? ways[at] : 0;
	}
	return tail / all;
}

static double normal_tail(size_t n, size_t m, double u)
{
	double mean = (double)(n * m) / 2;
	double deviation = sqrt((double)(n * m) * (double)(n + m + 1) / 12);

	return erfc((mean - u - 0.5) / deviation / M_SQRT2) / 2;
}

double rank_test(const double *a, size_t a_count, const double *b, size_t b_count)
{
	double u, p;

	if (a_count == 0 || b_count == 0 || a_count > RANK_MAX || b_count > RANK_MAX)
		return 1;
	u = pairs_below(a, a_count, b, b_count);
	u = fmin(u, (double)(a_count * b_count) - u);
	p = a_count <= EXACT_MAX && b_count <= EXACT_MAX
		    ? exact_tail(a_count, b_count, (size_t)ceil(u))
		    : normal_tail(a_count, b_count, u);
	return fmin(2 * p, 1);
}
