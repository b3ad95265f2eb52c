/*
 * fuzz_trace.c - any bytes as a trace for `pagein bench`. What is played lies in an object and goes
 * forward in time; written anew, it is the same; what is refused has one line of words.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static int load(const void *bytes, size_t len, uint64_t object, struct bench_order *ret)
{
	cleanup_fd int fd = memfd_create("trace", MFD_CLOEXEC);
	char path[32], words[256] = "";
	FILE *saved = stderr;
	int err;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	stderr = fmemopen(words, sizeof words, "w");
	assert(stderr);
	err = trace_load(path, object, ret);
	fclose(stderr);
	stderr = saved;
	assert(err == 0 ? words[0] == '\0' : strncmp(words, "pagein bench: /proc/", 20) == 0);
	return err;
}

static void check_again(const struct bench_order *order)
{
	cleanup_free char *text = NULL;
	struct bench_order again;
	size_t len;
	FILE *file = open_memstream(&text, &len);

	assert(file);
	fputs("# OFFSET LENGTH TIME_US THREAD OBJECT\n\n", file);
	for (uint64_t i = 0; i < order->count; i++)
		fprintf(file, "%" PRIu64 "\t%" PRIu64 " %" PRIu64 " 1 7\n",
			order->accesses[i].offset, order->accesses[i].len,
			order->accesses[i].at_ns / NS_PER_US);
	fclose(file);
	assert(load(text, len, 7, &again) == 0 && again.count == order->count);
	assert(memcmp(again.accesses, order->accesses, order->count * sizeof *order->accesses) ==
		0);
	bench_order_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	for (uint64_t object = 0; object < 3; object++) {
		struct bench_order order;
		uint64_t before_ns = 0;
		int err = load(bytes, len, object, &order);

		assert(err == 0 || err == -EINVAL || err == -EDOM || err == -ENODATA);
		if (err < 0)
			continue;
		assert(order.count > 0);
		for (uint64_t i = 0; i < order.count; i++) {
			const struct bench_access *access = &order.accesses[i];

			assert(access->len > 0 && access->offset + access->len >= access->len);
			assert(access->at_ns >= before_ns && access->at_ns % NS_PER_US == 0);
			before_ns = access->at_ns;
		}
		check_again(&order);
		bench_order_free(&order);
	}
	return 0;
}
