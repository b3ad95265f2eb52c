/*
 * record.c - what workers did and what they met, in memory that all processes share. Any process.
 *
 * Only the first problem is kept: what comes after it is mostly its consequence, and printed.
 */
#include "soak.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

struct soak *soak;

void problem(const struct worker *worker, const char *format, ...)
{
	char text[sizeof soak->problem];
	va_list arguments;
	size_t used = (size_t)snprintf(text, sizeof text, "%s (worker %zu, pid %d): ", worker->name,
		worker->number, getpid());

	va_start(arguments, format);
	vsnprintf(text + used, sizeof text - used, format, arguments);
	va_end(arguments);
	if (atomic_fetch_add(&soak->problems, 1) == 0)
		strcpy(soak->problem, text);
	else
		fprintf(stderr, "then: %s\n", text);
	atomic_store(&soak->stop, true);
}

bool is_over(void)
{
	return atomic_load(&soak->stop) || clock_now_ns() >= soak->end_ns;
}

void begin(struct worker *worker, const char *doing)
{
	atomic_store(&worker->doing_since_ns, clock_now_ns());
	atomic_store(&worker->doing, doing);
	atomic_fetch_add(&worker->operations, 1);
}

void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

unsigned long memory_kib(pid_t pid)
{
	unsigned long sum = 0, kib;
	char path[64], line[200];
	FILE *status;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	status = fopen(path, "re");
	if (!status)
		return 0;
	/* Not RssFile: that is the oracle and programs' code. */
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "RssAnon: %lu", &kib) == 1 ||
			sscanf(line, "RssShmem: %lu", &kib) == 1)
			sum += kib;
	fclose(status);
	return sum;
}

void record_memory(struct worker *worker)
{
	unsigned long kib;
	bool warm = clock_now_ns() > soak->end_ns - soak->seconds * NS_PER_S * 3 / 4;

	malloc_trim(0);
	kib = memory_kib(getpid());
	if (!warm)
		return;
	if (worker->memory_samples == 0)
		atomic_store(&worker->memory_first, kib);
	atomic_store(&worker->memory_last, kib);
	atomic_fetch_add(&worker->memory_samples, 1);
}

void record_error(struct worker *worker, const char *what, int number, uint64_t since_ns)
{
	char weather[300];

	if (number < 0 || number >= ERRNO_MAX) {
		problem(worker, "%s: no errno: %d", what, number);
		return;
	}
	atomic_fetch_add(&soak->errors[number], 1);
	if (weather_explains(number, since_ns))
		return;
	weather_tell(since_ns, weather, sizeof weather);
	problem(worker, "%s: %s (%d), %.1f s after its beginning, in this weather:%s", what,
		number ? strerror(number) : "an error", number,
		(double)(clock_now_ns() - since_ns) / (double)NS_PER_S, weather);
}
