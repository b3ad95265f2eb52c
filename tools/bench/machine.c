/*
 * machine.c - how busy the machine was with other things, and what measuring itself costs.
 *
 * The kernel tells what all CPUs did (/proc/stat), and what each process did: ours are this one,
 * its children (the embedded server, mounts, processes of runs), and those it has waited for. The
 * rest is others'. In jiffies: a hundredth of a second is as fine as it gets, so a run of the whole
 * bench is measured, not a run of a cell.
 */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "clock.h"
#include "machine.h"

/* More than this and figures of microseconds are no longer ours alone. */
#define OTHERS_CPUS_MAX 0.1
#define STOLEN_CPUS_MAX 0.02

static double jiffies(uint64_t count)
{
	return (double)count / (double)sysconf(_SC_CLK_TCK);
}

static void read_cpus(struct machine_use *ret)
{
	uint64_t user, nice, system, idle, iowait, irq, softirq, steal;
	FILE *file = fopen("/proc/stat", "re");

	if (file && fscanf(file,
			    "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			    " %" SCNu64 " %" SCNu64 " %" SCNu64,
			    &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal) == 8) {
		ret->busy = jiffies(user + nice + system + irq + softirq);
		ret->stolen = jiffies(steal);
	}
	if (file)
		fclose(file);
}

/* Seconds of CPU of a process, and of the children it has waited for, if it is of our family. */
static double read_process(const char *pid)
{
	uint64_t user, system, child_user, child_system;
	char path[64], text[1024], *behind_name;
	double seconds = 0;
	int parent;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%.16s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	/* The name is in parentheses, and may have some. */
	if (fgets(text, sizeof text, file) && (behind_name = strrchr(text, ')')) != NULL &&
		sscanf(behind_name + 1,
			" %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
			" %" SCNu64 " %" SCNu64,
			&parent, &user, &system, &child_user, &child_system) == 5 &&
		(parent == getpid() || atoi(pid) == getpid()))
		seconds = jiffies(user + system + child_user + child_system);
	fclose(file);
	return seconds;
}

void machine_use_now(struct machine_use *ret)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;

	*ret = (struct machine_use){.seconds = (double)clock_now_ns() / NS_PER_S};
	read_cpus(ret);
	while (directory && (entry = readdir(directory)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			ret->own += read_process(entry->d_name);
	if (directory)
		closedir(directory);
}

static double more(double a, double b)
{
	return a > b ? a : b;
}

void machine_use_note(const struct machine_use *before, const struct machine_use *after,
	bool knows_others, struct bench_record *record)
{
	double seconds = after->seconds - before->seconds;
	double own = after->own - before->own;
	double stolen = (after->stolen - before->stolen) / seconds;
	double others = more((after->busy - before->busy - own) / seconds, 0);

	record->stolen_cpus = more(record->stolen_cpus, stolen);
	if (stolen > STOLEN_CPUS_MAX)
		fprintf(stderr,
			"pagein bench: warning: the hypervisor gave %.2f CPUs to others meanwhile: "
			"don't trust the tails\n",
			stolen);
	if (!knows_others)
		return;
	record->others_cpus = more(record->others_cpus, others);
	if (others > OTHERS_CPUS_MAX)
		fprintf(stderr,
			"pagein bench: warning: other programs kept %.2f CPUs busy meanwhile: "
			"compare ratios within this run only\n",
			others);
}

static void read_clock(void)
{
	(void)clock_now_ns();
}

static void write_stages(void)
{
	static struct bench_stages told;
	static struct fault_stages stages;

	for (int stage = 0; stage < STAGE_COUNT; stage++)
		stages.end_ns[stage] = clock_now_ns();
	bench_stages_tell(&told, &stages);
}

/* Of one call, in the best of many batches: one that was interrupted says nothing. */
static double measure_ns(void (*function)(void))
{
	enum { BATCHES = 200, CALLS = 100 };
	uint64_t best_ns = UINT64_MAX;

	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t start_ns = clock_now_ns(), took_ns;

		for (int i = 0; i < CALLS; i++)
			function();
		took_ns = clock_now_ns() - start_ns;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
	}
	return (double)best_ns / CALLS;
}

double machine_clock_ns(void)
{
	return measure_ns(read_clock);
}

double machine_stages_ns(void)
{
	return measure_ns(write_stages);
}

void machine_cpu(char *ret, size_t max)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(ret, max, "unknown");
	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
			snprintf(ret, max, "%s", strchr(line, ':') + 2);
			ret[strcspn(ret, "\n")] = '\0';
			break;
		}
	if (file)
		fclose(file);
}

void machine_placement(char *ret, size_t max)
{
	cpu_set_t cpus;
	size_t used = 0;

	ret[0] = '\0';
	if (sched_getaffinity(0, sizeof cpus, &cpus) < 0)
		return;
	for (size_t cpu = 0; cpu < CPU_SETSIZE && used < max; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			used += (size_t)snprintf(
				ret + used, max - used, "%s%zu", used ? "," : "", cpu);
}
