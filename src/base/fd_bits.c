/* fd_bits.c - grows by 1,024 descriptors at a time, and never shrinks. */
#include "fd_bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROW_WORDS 16

void fd_bits_finish(struct fd_bits *bits)
{
	free(bits->words);
	*bits = (struct fd_bits){0};
}

int fd_bits_add(struct fd_bits *bits, int fd)
{
	size_t word = (size_t)fd / 64;

	if (word >= bits->count) {
		size_t count = word + GROW_WORDS;
		uint64_t *words = reallocarray(bits->words, count, sizeof *words);

		if (!words)
			return -ENOMEM;
		memset(words + bits->count, 0, (count - bits->count) * sizeof *words);
		bits->words = words;
		bits->count = count;
	}
	bits->words[word] |= UINT64_C(1) << (fd % 64);
	return 0;
}

void fd_bits_remove(struct fd_bits *bits, int fd)
{
	if ((size_t)fd / 64 < bits->count)
		bits->words[fd / 64] &= ~(UINT64_C(1) << (fd % 64));
}

void fd_bits_close(const struct fd_bits *bits)
{
	for (size_t i = 0; i < bits->count; i++)
		for (uint64_t left = bits->words[i]; left; left &= left - 1)
			close((int)(i * 64) + __builtin_ctzll(left));
}
