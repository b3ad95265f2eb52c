/*
 * pattern.c - computes the bytes of generated objects; pattern.h has the definition.
 *
 * Pure; any thread. The loop's steps do not depend on each other, so that the compiler can do eight
 * at once where the processor has a 64-bit multiplication of vectors: about 15 GB/s without, 30
 * with AVX2 and 100 with AVX-512. As fast as memory is the aim: then generating an answer anew
 * costs less than keeping its object, and a server that is measured against others is not measured
 * by this.
 */
#include "pattern.h"

#include <endian.h>
#include <string.h>

#define WORD_SIZE sizeof(uint64_t)
#define INDEX_STEP UINT64_C(0xd1342543de82ef95)
#define SEED_STEP UINT64_C(0x9e3779b97f4a7c15)
#define MIX UINT64_C(0xbf58476d1ce4e5b9)

static inline uint64_t word_mix(uint64_t x)
{
	return htole64((x ^ x >> 32) * MIX);
}

static inline __attribute__((always_inline)) void fill_words(
	uint64_t x, unsigned char *out, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t word = word_mix(x + i * INDEX_STEP);

		memcpy(out + i * WORD_SIZE, &word, WORD_SIZE);
	}
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static void fill_avx2(uint64_t x, unsigned char *out, size_t count)
{
	fill_words(x, out, count);
}

__attribute__((target("avx512dq,avx512vl"))) static void fill_avx512(
	uint64_t x, unsigned char *out, size_t count)
{
	fill_words(x, out, count);
}
#endif

static void fill_best(uint64_t x, unsigned char *out, size_t count)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
		fill_avx512(x, out, count);
		return;
	}
	if (__builtin_cpu_supports("avx2")) {
		fill_avx2(x, out, count);
		return;
	}
#endif
	fill_words(x, out, count);
}

static size_t fill_partial(uint64_t x, size_t skip, unsigned char *buf, size_t len)
{
	uint64_t word = word_mix(x);
	size_t count = WORD_SIZE - skip < len ? WORD_SIZE - skip : len;

	memcpy(buf, (unsigned char *)&word + skip, count);
	return count;
}

void pattern_fill(uint64_t seed, uint64_t offset, void *buf, size_t len)
{
	unsigned char *out = buf;
	uint64_t x = offset / WORD_SIZE * INDEX_STEP + seed * SEED_STEP;
	size_t skip = offset % WORD_SIZE;
	size_t words;

	if (skip) {
		size_t count = fill_partial(x, skip, out, len);

		out += count;
		len -= count;
		x += INDEX_STEP;
	}
	words = len / WORD_SIZE;
	fill_best(x, out, words);
	len %= WORD_SIZE;
	if (len)
		fill_partial(x + words * INDEX_STEP, 0, out + words * WORD_SIZE, len);
}
