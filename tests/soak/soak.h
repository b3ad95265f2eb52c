/*
 * soak.h - the world of the soak test: one server in changing weather, and 16 processes that do to
 * it what users do, for a long time.
 *
 *	soak_test.c   makes the world, starts the workers, watches over them, gives the verdict
 *	weather.c     the faults of the server, and which errors each of them allows
 *	world.c       what is served, and the oracle for it
 *	record.c      what workers did and met: counters and the first problem, in shared memory
 *	walk.c        workers that map objects with libpagein
 *	read.c        ... that read files of a mount
 *	list.c        ... that list directories, and one that changes them
 *	program.c     ... that run fio, pagein cat, pagein ls
 *	remount.c     ... that mount and unmount
 *	child.c       programs that workers run
 *
 * One struct soak lies in memory that all processes share. Each worker is a process of its own,
 * forked before there is any thread; it may do nothing with cmocka, and tells by problem().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "check.h"
#include "clock.h"
#include "server.h"

#define PAGE 4096
#define WORKERS 16
#define MOUNTS 2      /* that last as long as the test */
#define FAULTS_MAX 32 /* rows of weather.c's table */
#define ERRNO_MAX 140 /* Linux has no larger one */
/* Of requests. A third of it, what an answer may take to begin, must be enough for a machine on
 * which fifty others want its CPUs. */
#define TIMEOUT_MS 12000
#define TIMEOUT "12s"
#define DEADLINE_MS 60000 /* of a read or a touch */
#define PATH_ROOM 160

/* ---- what is shared ------------------------------------------------------------------------ */

struct worker {
	const char *name;
	void (*run)(struct worker *worker);
	size_t number;
	uint64_t seed;
	pid_t pid;
	/* What it is doing, since when; the driver asks. */
	_Atomic(const char *) doing;
	_Atomic uint64_t doing_since_ns;
	atomic_uint_fast64_t operations;
	/* Anonymous memory where it holds nothing, KiB: see record_memory(). */
	atomic_ulong memory_first, memory_last, memory_samples;
};

struct soak {
	uint64_t seed, seconds;
	uint64_t end_ns; /* when workers begin to end */
	char url[64];    /* the server's, without a slash */
	char base[64];   /* a directory that is not served */
	char root[64];   /* one that is */
	char mounts[MOUNTS][PATH_ROOM];
	atomic_bool stop; /* something is wrong, or the time is up */
	struct worker workers[WORKERS];
	/* Weather: when the fault was last possible; UINT64_MAX: it is now. 0: never yet. */
	atomic_uint_fast64_t fault_until_ns[FAULTS_MAX];
	atomic_uint_fast64_t fault_count[FAULTS_MAX];
	/* Errors that were met, by errno, and by which faults allowed them. */
	atomic_uint_fast64_t errors[ERRNO_MAX];
	atomic_uint_fast64_t explained[FAULTS_MAX];
	atomic_uint_fast64_t bytes_compared;
	atomic_uint problems;
	char problem[1000]; /* the first */
};

extern struct soak *soak;

/* ---- record.c ------------------------------------------------------------------------------ */

/* Any process and thread; ends the test. */
void problem(const struct worker *worker, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

bool is_over(void);

/* Before each operation: the driver takes one that lasts too long for stuck. */
void begin(struct worker *worker, const char *doing);

static inline size_t pick(struct worker *worker, size_t count)
{
	return random_next(&worker->seed) % count;
}

/* Anonymous and shared memory of a process now, KiB; 0: there is no such process. */
unsigned long memory_kib(pid_t pid);
/* To be called whenever the worker holds nothing: it must not grow. */
void record_memory(struct worker *worker);

/*
 * An operation of what has been open since since_ns has failed with the (positive) errno: a problem
 * unless weather of that time allows that. errno_any: nobody told which.
 */
#define errno_any 0
void record_error(struct worker *worker, const char *what, int number, uint64_t since_ns);
/* Waits a little, as people do before they try again. */
void pause_ms(unsigned ms);

/* ---- weather.c ----------------------------------------------------------------------------- */

/* Does weather that there was since then allow this errno? Counts which. */
bool weather_explains(int number, uint64_t since_ns);
/* The names of all faults since then, each with a blank before it. */
void weather_tell(uint64_t since_ns, char *to, size_t size);

/* The driver's: new weather each time it is due, the last eighth being fair. */
void weather_start(struct server *server, uint64_t seed, uint64_t end_ns);
void weather_tick(void);
void weather_end(void);
const char *weather_fault_name(size_t fault); /* NULL: no such */

/* ---- world.c ------------------------------------------------------------------------------- */

#define FILES 3 /* f/0 ... of random bytes, which never change */
#define BIG_NAMES 2000
#define FLUX_NAMES 200    /* the even ones are there always, the odd ones come and go */
#define CHANGING_PAGES 40 /* of f/changing: each version's pages tell its number */
#define FIO_FILES 2

struct file {
	const uint8_t *bytes; /* the oracle */
	size_t size;
	char name[16]; /* below the root */
};
extern struct file files[FILES];

void world_make(const struct server *server);
void world_finish(void);
/* Another version of f/changing; in the flux, a name comes or goes. */
int world_change(struct worker *worker, uint32_t version);
int world_flux(struct worker *worker);
/* The number of the version that this page of f/changing is of; -1: bytes of none, or of elsewhere.
 */
int64_t changing_version(const uint8_t *page, size_t number);
/* A name as "n-0123": its number, or -1. */
int name_number(const char *name);

/* ---- child.c ------------------------------------------------------------------------------- */

struct child {
	int status; /* as of waitpid(2) */
	char *out;  /* what it printed, terminated */
	size_t out_length;
	char err[2000]; /* the last of it */
};
/* Runs the program and waits for its end. False, and a problem: it could not be run. */
bool child_run(struct worker *worker, const char *const argv[], struct child *ret);
void child_finish(struct child *child);
static inline bool child_succeeded(const struct child *child)
{
	return child->status == 0;
}
/* Starts it only; its messages go to that file. */
pid_t child_start(const char *const argv[], const char *log);

/* ---- what workers do ------------------------------------------------------------------------ */

void walk(struct worker *worker);
void read_mount(struct worker *worker);
void list_mount(struct worker *worker);
void change(struct worker *worker);
void run_fio(struct worker *worker);
void run_cat(struct worker *worker);
void run_ls(struct worker *worker);
void remount(struct worker *worker);

/* A set of names that was listed: do they make a directory that can have been? */
struct listing {
	bool seen[BIG_NAMES];
	size_t count;
};
void listing_add(
	struct worker *worker, struct listing *listing, const char *directory, const char *name);
void listing_check(struct worker *worker, const struct listing *listing, const char *directory);
