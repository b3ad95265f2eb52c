/*
 * pagein.h - remote objects as local memory.
 *
 *	struct pagein_object *object;
 *	struct pagein_map *map;
 *
 *	if (pagein_open("https://host/weights.bin", NULL, &object) < 0 ||
 *		pagein_map(object, 0, 0, 0, &map) < 0)
 *		return -1;
 *	const float *weights = pagein_address(map);
 *	printf("%f\n", weights[123456789]);	// fetches a few KiB, not the object
 *
 * Touching a page that is not there sends a ranged HTTP request for it, and the touching thread
 * goes on when the bytes have arrived; userfaultfd(2) is how. Bytes are published as they arrive,
 * the page that somebody waits for first. What was never touched is never fetched, but for
 * readahead behind sequential access.
 *
 * Results are 0 or a negative errno value. All calls may be made from any thread at any time,
 * except that an object or map must not be used while or after another thread closes it.
 *
 * Versions. An object is one version of what its URL names, pinned when it is opened by its strong
 * ETag, or else by Last-Modified and length. Every later answer must carry the same; when the
 * object has changed, pages not yet fetched fail with ESTALE. Old bytes or an error, never a
 * mixture and never silent zeros.
 *
 * Errors. A page that can't be fetched is poisoned after bounded retries: the touching thread gets
 * SIGBUS at that address (SIGSEGV on kernels before 6.6), a system call that is given the address
 * EFAULT. pagein_error() tells why. pagein_populate() brings pages in without any signal.
 *
 * fork(2). A child has its parent's objects and maps, with what was resident, and a thread and
 * connections of its own for what was not (pagein_options.fork has other policies). Where it can't
 * have them, for want of descriptors or memory, and after a clone(2) that libc does not know of, a
 * touch raises SIGSEGV: never does it show zeros. Calls with what a child can't use give -ECHILD,
 * and pagein_unmap() and pagein_close() only forget it. Programs that fork often only to exec(2)
 * should use posix_spawn(3), which costs nothing, or PAGEIN_FORK_DENY.
 *
 * Threads. While an object or a map exists the library has a thread, and more as more maps are made
 * (pagein_options.loops), with all signals blocked. An object is served by one of them, and so are
 * all of its maps. The library installs no signal handler and leaves locale, stdio and SIGPIPE
 * alone.
 *
 * Limits. Pages of 4096 bytes (-ENOTSUP elsewhere); Linux 5.11 and later, and the right to use
 * userfaultfd(2): run `pagein doctor` to see.
 */
#ifndef PAGEIN_H
#define PAGEIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct pagein_object; /* one version of one remote object */
struct pagein_map;    /* part of it, mapped */

enum pagein_fork {
	PAGEIN_FORK_REARM, /* its own copies, which fetch for themselves */
	PAGEIN_FORK_SERVE, /* the same, but the parent fetches for them as long as it lives */
	PAGEIN_FORK_DENY,  /* nothing: a touch is SIGSEGV, calls give -ECHILD */
};

/*
 * Zero in a field means the default, everywhere. Initialise with PAGEIN_OPTIONS_INIT, so that a
 * later library knows which fields its caller was compiled with.
 */
struct pagein_options {
	size_t size;          /* sizeof (struct pagein_options) */
	unsigned timeout_ms;  /* longest time without a whole page arriving; default 30,000 */
	unsigned attempts;    /* tries of a request that fails in a way that may pass; default 10 */
	unsigned connections; /* most connections of a loop to one server; default 96 */
	unsigned loops;       /* most threads that serve maps; default: one less than the
				 CPUs, at least 1 and at most 4; with
				 cache_bytes always 1 */
	unsigned fork;        /* enum pagein_fork: what a child of fork(2) has of the maps */
	unsigned spin_us;     /* how long such a thread looks for events before it sleeps, as long
				 as that pays: costs power; default: not at all */
	/*
	 * Memory in which fetched pages are kept beside the maps, in bytes; default none. A page
	 * that has left a map (PAGEIN_DONTNEED, pagein_unmap()), or that another map of the same
	 * object has fetched, is filled from there without a request, as long as it is still there
	 * and the object is open. Beyond the limit the oldest are dropped first, those that maps
	 * have come back for later. Less than 1 MiB counts as 1 MiB.
	 *
	 * The limit is of all objects that are open with equal options together. It counts
	 * blocks of 256 KiB, however few of their pages were fetched, and is exceeded only by what
	 * threads wait for, as long as they do. What is resident in maps does not count. Each
	 * request takes two blocks, so a cache below 8 MiB slows reading ahead of distant servers.
	 *
	 * Worth it for maps that come and go, for several of one object, and for DONTNEED as a way
	 * to give memory back; a map that keeps its pages is filled some percent faster without.
	 */
	uint64_t cache_bytes;
};
#define PAGEIN_OPTIONS_INIT                           \
	{                                             \
		.size = sizeof(struct pagein_options) \
	}

/*
 * Asks the server for the object, pins its version, and waits for that: one round trip, or a few
 * where the server redirects. options may be NULL. The caller owns *ret and closes it.
 *
 * -EINVAL: not an http:// or https:// URL, or options of an unknown size; -ENOENT: 404, 410;
 * -EACCES: 401, 403; -ENOTSUP: the server does not serve ranges; -EKEYREJECTED: TLS; -EHOSTUNREACH:
 * the name does not resolve; -ECONNREFUSED, -ETIMEDOUT, -EIO: as they say; -EPROTO: an answer that
 * HTTP does not allow. pagein_last_error() has it in words.
 */
int pagein_open(const char *url, const struct pagein_options *options, struct pagein_object **ret);

/* Ends the caller's use of object; maps of it keep it alive. NULL is fine. */
void pagein_close(struct pagein_object *object);

/* The size in bytes. */
uint64_t pagein_size(const struct pagein_object *object);

/* The pinned validator: an ETag with its quotes, else a Last-Modified date, "" if none. Lives as
 * long as the object. */
const char *pagein_version(const struct pagein_object *object);

/*
 * Maps length bytes of the object from offset on, read-only; length 0 means to the end. Nothing is
 * fetched yet. offset must be a multiple of the page size. Bytes past the object's end in its last
 * page are zero; whole pages past it raise SIGBUS when touched, as with a file. An empty map has
 * the length 0 and no address. flags must be 0 in this version.
 *
 * The range may be given to write(2) and other system calls, and to read(2) where mprotect(2) has
 * made it a writable private copy, if the caller may have the kernel's faults handled (see pagein
 * doctor); else those calls fail with EFAULT on pages that are not resident: pagein_populate() them
 * first.
 *
 * -EINVAL: offset not aligned or past the end, unknown flags; -ENOMEM, -EMFILE; -EPERM, -EACCES,
 * -ENOSYS: userfaultfd(2) is not allowed here.
 */
int pagein_map(struct pagein_object *object, uint64_t offset, size_t length, unsigned flags,
	struct pagein_map **ret);

/* Where the map begins; NULL for an empty one. */
void *pagein_address(const struct pagein_map *map);

/* Its length in bytes, as asked for: not rounded up to whole pages. */
size_t pagein_length(const struct pagein_map *map);

/*
 * Removes the map. Threads that still touch it get SIGSEGV, those that wait in a fault included:
 * they never see zeros. NULL is fine. Always 0.
 */
int pagein_unmap(struct pagein_map *map);

enum pagein_advice {
	PAGEIN_NORMAL,     /* find sequential streams and read ahead of them */
	PAGEIN_SEQUENTIAL, /* read ahead at once, and far */
	PAGEIN_RANDOM,     /* fetch what is touched and nothing else */
	PAGEIN_WILLNEED,   /* start fetching this range; returns at once */
	PAGEIN_DONTNEED,   /* drop this range's pages; the next touch fetches them again, unless
			      options.cache_bytes has kept them */
};

/*
 * NORMAL, SEQUENTIAL and RANDOM apply to the whole map, whatever range is given; the other two to
 * the pages that [offset, offset + length) overlaps, length 0 meaning to the end. -EINVAL: unknown
 * advice, or a range outside the map.
 */
int pagein_advise(struct pagein_map *map, size_t offset, size_t length, int advice);

/*
 * Makes the pages that [offset, offset + length) overlaps resident, and waits for that at most
 * timeout_ms milliseconds (negative: as long as the fetching may take). 0: all are resident;
 * touching them does not fault. Else the first failure's errno, or -ETIMEDOUT; what has arrived
 * stays, and what is under way goes on. Never a signal. A page that had failed is tried again.
 */
int pagein_populate(struct pagein_map *map, size_t offset, size_t length, int timeout_ms);

struct pagein_error {
	int error;         /* a positive errno value; 0: the page has not failed */
	unsigned status;   /* the HTTP status that said so, or 0 */
	uint64_t offset;   /* of the page, in the object */
	char message[240]; /* "operation: object: reason" */
};

/* Why the page at address is poisoned. 0 (also when it is not), -EINVAL: not in this map. */
int pagein_error(struct pagein_map *map, const void *address, struct pagein_error *ret);

/* The pages that failed in [offset, offset + length) are absent again: the next touch tries anew.
 */
int pagein_retry(struct pagein_map *map, size_t offset, size_t length);

/* What this kernel and this process's rights allow. */
enum pagein_cap {
	PAGEIN_CAP_MAP = 0x1,      /* maps at all */
	PAGEIN_CAP_SYSCALLS = 0x2, /* system calls may be given pages that are not resident */
	PAGEIN_CAP_SIGBUS = 0x4,   /* a failed page raises SIGBUS; else SIGSEGV */
	PAGEIN_CAP_PRIVATE = 0x8,  /* PAGEIN_PRIVATE */
	PAGEIN_CAP_HUGE = 0x10,    /* PAGEIN_HUGE does more than an ordinary map */
	PAGEIN_CAP_SHARED = 0x20,  /* PAGEIN_SHARED */
	PAGEIN_CAP_INLINE = 0x40,  /* PAGEIN_INLINE */
	PAGEIN_CAP_SERVE = 0x80,   /* PAGEIN_FORK_SERVE; else it is as REARM */
};
struct pagein_caps {
	unsigned caps;     /* enum pagein_cap, ored */
	int error;         /* a positive errno value: why there can be no map; 0: there can */
	char message[240]; /* what is missing, and its cure; "" if nothing is */
};

/* 0, or the error as a negative value: no map can be made; *ret is right all the same. */
int pagein_caps(struct pagein_caps *ret);

/* Counters go up only; gauges are what is now. */
struct pagein_stats {
	uint64_t faults; /* page faults read from the kernel */
	uint64_t fills;  /* UFFDIO_COPY calls that filled something */
	uint64_t bytes_filled;
	uint64_t poisoned;      /* pages */
	uint64_t requests;      /* ranged requests sent, retries included */
	uint64_t bytes_fetched; /* body bytes received */
	uint64_t retries;
	uint64_t connections_opened;
	uint64_t objects;        /* gauge: open objects */
	uint64_t maps;           /* gauge */
	uint64_t resident_bytes; /* gauge: filled and not dropped since */
	uint64_t transfers;      /* gauge: ranged requests under way or waiting for a connection */
	uint64_t connections;    /* gauge */
	uint64_t cached_bytes;   /* gauge: of the blocks in which fetched pages are kept */
};

/* Of one map (faults to poisoned, and resident_bytes), or of the process when map is NULL. */
int pagein_stats(struct pagein_map *map, struct pagein_stats *ret);

/* What went wrong in this thread's last pagein call that failed; "" if none has. Never NULL. */
const char *pagein_last_error(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
