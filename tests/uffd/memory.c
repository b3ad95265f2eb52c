/* memory.c - see memory.h. */
#include "memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Requests are counted: none is sent again because the machine is slow. */
const struct pagein_options limit_1m = {
	.size = sizeof limit_1m, .timeout_ms = 30000, .memory = MIB, .hedge_percent = -1};
const struct pagein_options limit_4m = {
	.size = sizeof limit_4m, .timeout_ms = 30000, .memory = 4 * MIB, .hedge_percent = -1};

int lock(const void *start, size_t length)
{
	return (int)syscall(SYS_mlock, start, length);
}

int unlock(const void *start, size_t length)
{
	return (int)syscall(SYS_munlock, start, length);
}

size_t kernel_resident(const void *start, size_t length)
{
	static unsigned char states[256 * MIB / PAGE];
	size_t count = 0;

	assert_true(length / PAGE <= sizeof states);
	assert_int_equal(mincore((void *)(uintptr_t)start, length, states), 0);
	for (size_t i = 0; i < (length + PAGE - 1) / PAGE; i++)
		count += states[i] & 1;
	return count * PAGE;
}

size_t smaps_rss(const void *start, size_t length)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	uintptr_t from, to;
	bool inside = false;
	size_t sum = 0, kib;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from >= (uintptr_t)start && from < (uintptr_t)start + length;
		else if (inside && sscanf(line, "Rss: %zu kB", &kib) == 1)
			sum += kib * 1024;
	}
	fclose(file);
	return sum;
}

size_t taken(void)
{
	struct pagein_stats stats = process_stats();

	return (size_t)(stats.resident_bytes + stats.cached_bytes);
}

void settle(void)
{
	while (process_stats().transfers > 0)
		usleep(1000);
}

void check_exact(const struct session *session)
{
	settle();
	assert_int_equal(map_stats(session->map).resident_bytes,
		smaps_rss(session->bytes, pagein_length(session->map)));
	assert_int_equal(map_stats(session->map).resident_bytes,
		kernel_resident(session->bytes, pagein_length(session->map)));
}

static void *sample(void *context)
{
	struct sampler *self = context;

	while (!self->ended) {
		struct pagein_stats stats;
		size_t now;

		pagein_stats(NULL, &stats);
		now = (size_t)(stats.resident_bytes + stats.cached_bytes);
		self->most = now > self->most ? now : self->most;
		usleep(500);
	}
	return NULL;
}

void sampler_start(struct sampler *self)
{
	*self = (struct sampler){0};
	assert_int_equal(pthread_create(&self->thread, NULL, sample, self), 0);
}

size_t sampler_end(struct sampler *self)
{
	self->ended = true;
	pthread_join(self->thread, NULL);
	return self->most;
}
