/* watch.h - what the driver looks at while the workers work. The driver's process. */
#pragma once

#include "soak.h"

struct watch {
	const pid_t *mount_pids; /* MOUNTS */
	uint64_t next_ns;        /* of the samples */
	/* The most memory in each eighth of the time, KiB; the most descriptors and threads. */
	unsigned long memory[MOUNTS][8];
	int fds_max[MOUNTS], threads_max[MOUNTS];
};

/* False, and a problem: a worker hangs. What it waits for is printed then. */
bool watch_workers(void);
void watch_print_process(pid_t pid);
/* Twice a second. */
void watch_sample(struct watch *watch);
/* Memory that has grown is a problem. */
void watch_judge(const struct watch *watch);
void watch_report(const struct watch *watch);

/* How many mounts there were below the directory; none is left. */
size_t watch_unmount_below(const char *directory);
/* Do all processes end soon whose arguments name the directory? */
bool watch_processes_end(const char *directory);
