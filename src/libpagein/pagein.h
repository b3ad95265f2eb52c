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
 * goes on when the bytes have arrived. What was never touched is never fetched, but for readahead.
 *
 * Results are 0 or a negative errno value. All calls may be made from any thread at any time,
 * except that an object or map must not be used while or after another thread closes it. At length:
 * libpagein(3) and a page for each call.
 *
 * Versions. An object is one version of what its URL names, pinned when it is opened by its strong
 * ETag, or else by Last-Modified and length. When the object has changed, pages not yet fetched
 * fail with ESTALE: old bytes or an error, never a mixture and never silent zeros.
 *
 * Errors. A page that can't be fetched is poisoned after bounded retries: the touching thread gets
 * SIGBUS at that address (SIGSEGV on kernels before 6.6), a system call that is given the address
 * EFAULT. pagein_error() tells why. pagein_populate() brings pages in without any signal,
 * pagein_guard() makes an errno of it, and PAGEIN_WAIT waits until the network is back.
 *
 * fork(2). A child has its parent's objects and maps, and a thread of its own for them
 * (pagein_options.fork has other policies). What it can't have is SIGSEGV to touch and -ECHILD to
 * call; pagein_unmap() and pagein_close() only forget it.
 *
 * Threads. While an object or a map exists the library has a thread or more, with all signals
 * blocked. It installs no signal handler unless asked (pagein_guard(), PAGEIN_INLINE) and leaves
 * locale, stdio and SIGPIPE alone.
 *
 * Limits. Pages of 4096 bytes; Linux 5.11 and later; userfaultfd(2) (`pagein doctor` looks).
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
 * What is checked of an object's bytes. Of blocks, for which a manifest may have hashes, it is
 * before they are shown; of the whole, for which S3, a web server or a manifest may have a
 * checksum, when the last byte has come: what was shown before may have been wrong. libpagein(3),
 * INTEGRITY.
 */
enum pagein_verify {
	PAGEIN_VERIFY_AUTO,    /* whatever can be checked; nothing is refused */
	PAGEIN_VERIFY_OFF,     /* nothing */
	PAGEIN_VERIFY_REQUIRE, /* refuse what can't be checked when all of it has been read */
	PAGEIN_VERIFY_BLOCKS,  /* refuse what can't be checked before it is shown */
};

/* For s3:// URLs. NULL and 0: what the environment and the files in ~/.aws say, as for aws(1);
 * there, too, are the credentials. */
struct pagein_s3_options {
	size_t size; /* sizeof (struct pagein_s3_options) */
	const char *profile;
	const char *region;
	const char *endpoint_url;     /* "https://host:port" of a server that is not Amazon's */
	const char *addressing_style; /* "path": https://host/bucket, "virtual", or "auto" */
	int no_sign_request;          /* 1: public buckets, without credentials */
	int requester_pays;           /* 1: the requester pays, and says so */
};
#define PAGEIN_S3_OPTIONS_INIT                           \
	{                                                \
		.size = sizeof(struct pagein_s3_options) \
	}

/*
 * Zero in a field means the default, everywhere. Initialise with PAGEIN_OPTIONS_INIT, so that a
 * later library knows which fields its caller was compiled with.
 */
struct pagein_options {
	size_t size;          /* sizeof (struct pagein_options) */
	unsigned timeout_ms;  /* longest time without a whole page arriving; default 30,000 */
	unsigned attempts;    /* tries of a request that fails in a way that may pass; default 16 */
	unsigned connections; /* most connections of a loop to one server; default 96 */
	unsigned loops;       /* most threads that serve maps; default: one less than the CPUs, 1
				 to 4; with cache_bytes or memory always 1 */
	unsigned fork;        /* enum pagein_fork: what a child of fork(2) has of the maps */
	unsigned spin_us;     /* how long such a thread looks for events before it sleeps, as long
				 as that pays: costs power; default: not at all */
	/*
	 * Memory in which fetched pages are kept beside the maps, in bytes; default none. A page
	 * that has left a map (PAGEIN_DONTNEED, pagein_unmap()), or that another map of the same
	 * object has fetched, is filled from there without a request, as long as it is still there
	 * and the object is open. The limit is of all objects that are open with equal options
	 * together, and counts blocks of 256 KiB. Less than 1 MiB counts as 1 MiB.
	 */
	uint64_t cache_bytes;
	const struct pagein_s3_options *s3; /* read by pagein_open() only; default: see there */
	/* Who we are to web servers; read by pagein_open() only, must be readable by their owner
	 * alone, and go to the server that was asked for, not to where it redirects. */
	const char *netrc_file; /* default ~/.netrc, if there is one; "": none */
	const char *token_file; /* lines "TOKEN" or "HOST TOKEN"; default none */
	/* Memory that all maps of objects opened with equal options may take together, in bytes;
	 * default: what the environment variable PAGEIN_MEMORY says (67108864, 64M, 1G), else no
	 * limit; PAGEIN_NO_LIMIT: none, whatever that says. Less than 1 MiB counts as 1 MiB. See
	 * "Memory" below. */
	uint64_t memory;
	unsigned verify;   /* enum pagein_verify */
	int hedge_percent; /* second requests for what is late, of 100; default 5; negative: none */
	unsigned deadline_ms; /* longest wait of a touch, however steadily other pages come;
				 default 60,000. Not with PAGEIN_WAIT */
};
#define PAGEIN_NO_LIMIT UINT64_MAX
#define PAGEIN_OPTIONS_INIT                           \
	{                                             \
		.size = sizeof(struct pagein_options) \
	}

/*
 * url: http://, https://, file:///, or s3://BUCKET/KEY with the key as it is, not percent-encoded;
 * or manifest:FILE#PATH, manifest:URL#PATH: what a manifest calls PATH.
 *
 * Asks the server for the object, pins its version, and waits for that: one round trip, or a few
 * where the server redirects. options may be NULL. The caller owns *ret and closes it.
 *
 * -EINVAL: no such URL, options of an unknown size or value, or a malformed PAGEIN_MEMORY; -ENOENT:
 * 404, 410; -EACCES: 401, 403; -ENOTSUP: the server does not serve ranges, or the object can't be
 * verified as options.verify wants; -EKEYREJECTED: TLS;
 * -EHOSTUNREACH: the name does not resolve; -ECONNREFUSED, -ETIMEDOUT, -EIO: as they say; -EPROTO:
 * an answer that HTTP does not allow. pagein_last_error() has it in words.
 */
int pagein_open(const char *url, const struct pagein_options *options, struct pagein_object **ret);

/* Ends the caller's use of object; maps of it keep it alive. NULL is fine. */
void pagein_close(struct pagein_object *object);
/* The size in bytes. */
uint64_t pagein_size(const struct pagein_object *object);

/* The pinned validator: an ETag with its quotes, else a Last-Modified date, "" if none. */
const char *pagein_version(const struct pagein_object *object);

enum pagein_integrity {
	PAGEIN_UNCHECKED,  /* there is nothing to check its bytes by, or options.verify says OFF */
	PAGEIN_BY_BLOCK,   /* all that is shown was checked before */
	PAGEIN_UNFINISHED, /* not all has been fetched; of a hash, in sequence */
	PAGEIN_VERIFIED,   /* all of them together are right */
	PAGEIN_BAD,        /* ... are not: what was not shown yet fails with EIO; open it anew */
};
/* What is known of the object's bytes now, of enum pagein_integrity; or -ECHILD. */
int pagein_integrity(struct pagein_object *object);

/*
 * pagein_map()'s flags. What the map is made of: none, or one of PRIVATE, HUGE, SHARED, HUGETLB and
 * INLINE, which exclude each other; WAIT goes with any of them. More in pagein_map(3).
 */
enum pagein_flag {
	/* An overlay: it may be written, and what is written never goes back to the object. Such a
	 * page is dirty: it is neither fetched again nor dropped, until pagein_discard() or the
	 * caller's own MADV_DONTNEED or munmap(2) drop it. */
	PAGEIN_PRIVATE = 0x1,
	/* Huge pages of 2 MiB wherever so much is fetched ahead of its readers or populated, and
	 * where there are any. Writable; after PAGEIN_DONTNEED its bytes are the object's again. */
	PAGEIN_HUGE = 0x2,
	/* Pages that all processes of this user share who map the same version of the same URL with
	 * this flag: each is fetched once, and stays until all have closed the object. */
	PAGEIN_SHARED = 0x4,
	/* Pages of 2 MiB of the pool that vm.nr_hugepages reserves, which must have room for all of
	 * the map. offset must be a multiple of 2 MiB; what is said of pages is of these. */
	PAGEIN_HUGETLB = 0x8,
	/* A page that options.cache_bytes has kept is filled by the thread that touches it, in a
	 * handler for SIGBUS (see pagein_guard()). System calls and other processes get EFAULT from
	 * absent pages: pagein_populate() them first. Not under a memory limit. */
	PAGEIN_INLINE = 0x10,
	/* When fetching has failed in a way that may pass (no network, no server, 5xx, timeouts),
	 * threads that wait for a page wait on, and so does pagein_populate() within its own
	 * timeout, until the network is back. Other errors fail as ever. No deadline_ms. */
	PAGEIN_WAIT = 0x20,
};

/*
 * Maps length bytes of the object from offset on, read-only; length 0 means to the end. Nothing is
 * fetched yet. offset must be a multiple of the page size. Bytes past the object's end in its last
 * page are zero; whole pages past it raise SIGBUS when touched, as with a file. An empty map has
 * the length 0 and no address. flags: enum pagein_flag, ored.
 *
 * The range may be given to write(2) and other system calls, and to read(2) where it is writable
 * (PAGEIN_PRIVATE, or mprotect(2)), if PAGEIN_CAP_SYSCALLS is to be had; else those calls fail with
 * EFAULT on pages that are not resident: pagein_populate() them first.
 *
 * -EINVAL: offset not aligned or past the end, unknown flags or such that exclude each other;
 * -ENOMEM, -EMFILE; -EPERM, -EACCES, -ENOSYS: userfaultfd(2) is not allowed here; -ENOTSUP: the
 * kernel is too old for this flag.
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

/*
 * Removes the map and leaves its memory to the caller, who has it with munmap(2) when it is no
 * longer needed: plain private memory that the library has no part in, from *ret_address on, which
 * differs from pagein_address() if it was moved; NULL of an empty map.
 *
 * All of it must be resident: pagein_populate() it first. No other thread may drop, move or unmap
 * pages of it while this call lasts: they would read zeros later on.
 *
 * On an error the map is as it was. -EBUSY: a page is missing, or has failed; -EINVAL: the map has
 * whole pages past the object's end, which no memory can be; -ENOTSUP: it is made of other memory;
 * -EACCES, -ENOENT: /proc/self/pagemap can't be read.
 */
int pagein_detach(struct pagein_map *map, void **ret_address);

enum pagein_advice {
	PAGEIN_NORMAL,     /* find sequential streams and read ahead of them */
	PAGEIN_SEQUENTIAL, /* read ahead at once, and far */
	PAGEIN_RANDOM,     /* fetch what is touched and nothing else */
	PAGEIN_WILLNEED,   /* start fetching this range (the first third of the memory limit of
			      it, if there is one); returns at once */
	PAGEIN_DONTNEED,   /* drop this range's pages; the next touch fetches them again, unless
			      options.cache_bytes has kept them; see PAGEIN_PRIVATE */
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
 *
 * Under a memory limit they stay until it returns. -ENOMEM: more than the limit leaves for them.
 */
int pagein_populate(struct pagein_map *map, size_t offset, size_t length, int timeout_ms);

/*
 * Memory. Under a limit (pagein_options.memory) pages leave memory by themselves as others come in,
 * and a touch fetches them again; but never dirty or mlock(2)ed ones. The limit holds at any
 * time, within 1 MiB. What madvise(2) drops counts until it is touched or evicted; PAGEIN_DONTNEED
 * is noticed at once. mprotect(2) does not keep what is written: PAGEIN_PRIVATE does.
 *
 * pagein_pin(): pages that [offset, offset + length) overlaps (length 0: to the end) are not
 * evicted; they are fetched as usual, by touch or populate. Pins do not nest. They count against
 * the limit from now on, resident or not, and end with the map. Without a limit both do nothing.
 *
 * -EINVAL: a range outside the map; -ENOMEM: pinned pages and populates under way would exceed the
 * limit; nothing has changed then.
 */
int pagein_pin(struct pagein_map *map, size_t offset, size_t length);
int pagein_unpin(struct pagein_map *map, size_t offset, size_t length);

enum pagein_state {
	PAGEIN_ABSENT,   /* a touch fetches it */
	PAGEIN_COMING,   /* it has been asked for, or has arrived and is held back for readahead */
	PAGEIN_RESIDENT, /* filled, and not dropped since, as far as the library has been told */
	PAGEIN_FAILED,   /* a touch raises SIGBUS, or tries anew: see pagein_error() */
};

/*
 * What the pages that [offset, offset + length) overlaps are now, as mincore(2): one byte for each,
 * of enum pagein_state; length 0: to the end. -EINVAL: a range outside the map.
 */
int pagein_residency(struct pagein_map *map, size_t offset, size_t length, unsigned char *states);

struct pagein_error {
	int error;         /* a positive errno value; 0: the page has not failed */
	unsigned status;   /* the HTTP status that said so, or 0 */
	uint64_t offset;   /* of the page, in the object */
	char message[240]; /* "operation: object: reason" */
};

/* Why the page at address is poisoned. 0 (also when it is not), -EINVAL: not in this map. */
int pagein_error(struct pagein_map *map, const void *address, struct pagein_error *ret);

/* The pages that failed in the range are absent again: the next touch tries anew. */
int pagein_retry(struct pagein_map *map, size_t offset, size_t length);

/* Whole pages of a map, in bytes from its beginning; the last may reach past pagein_length(). */
struct pagein_range {
	size_t offset;
	size_t length;
};

/*
 * Which pages of [offset, offset + length) of an overlay (PAGEIN_PRIVATE) are dirty, length 0
 * meaning to the end: how many ranges these are, and the first max of them in ranges (may be NULL
 * if max is 0), ascending, with at least a clean page between any two. Writes that go on meanwhile
 * may be told or not.
 *
 * -EINVAL: not an overlay, or a range outside of the map; -ENOMEM; -EACCES, -ENOENT:
 * /proc/self/pagemap can't be read.
 */
int pagein_dirty(struct pagein_map *map, size_t offset, size_t length, struct pagein_range *ranges,
	size_t max);

/*
 * Drops all pages of [offset, offset + length) of an overlay, dirty ones, too: they show the
 * object's bytes again. -EINVAL: not an overlay, a range outside of it, or a locked page
 * (mlock(2)).
 */
int pagein_discard(struct pagein_map *map, size_t offset, size_t length);

/*
 * Runs function(argument), and gives what it gives; but if it touches a page of a map that can't be
 * had, -errno, that of pagein_error(), instead of a signal. Guards nest, each thread has its own,
 * and a system call that is given such a page gets EFAULT as ever.
 *
 * Nothing behind the touch is run: it is a siglongjmp(3) out of the function. So inside, and in
 * what it calls, hold no lock and own no memory; to copy from the map into memory of one's own is a
 * good use. The function must return or be jumped out of by the guard only.
 *
 * The first guard, as the first map with PAGEIN_INLINE, installs a handler for SIGBUS (where failed
 * pages raise SIGSEGV, for that too), which stays and passes on what is not its own. So must one
 * that is installed later; and a thread that blocks SIGBUS is killed by it.
 */
int pagein_guard(int (*function)(void *argument), void *argument);

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
	uint64_t faults; /* page faults that were served */
	uint64_t fills;  /* calls of the kernel that filled something */
	uint64_t bytes_filled;
	uint64_t poisoned;      /* pages */
	uint64_t evicted;       /* pages that left memory for others, under a limit */
	uint64_t refilled;      /* of these: came back without a request */
	uint64_t requests;      /* ranged requests sent, retries included */
	uint64_t bytes_fetched; /* body bytes received */
	uint64_t retries;
	uint64_t hedges;     /* of the requests: second ones, as the first was late */
	uint64_t hedges_won; /* of these: were answered first */
	uint64_t connections_opened;
	uint64_t zero_pages;     /* filled pages in which all is zero, and which take no memory */
	uint64_t huge_fills;     /* of 2 MiB that became one page */
	uint64_t fallbacks;      /* 2 MiB of a PAGEIN_HUGE map that did not; a map that can't: 1 */
	uint64_t objects;        /* gauge: open objects */
	uint64_t maps;           /* gauge */
	uint64_t resident_bytes; /* gauge: filled and not dropped since */
	uint64_t transfers;      /* gauge: ranged requests under way or waiting for a connection */
	uint64_t connections;    /* gauge */
	uint64_t cached_bytes;   /* gauge: of fetched pages that are kept beside the maps */
	uint64_t pinned_bytes;   /* gauge: of pinned pages, resident or not */
};

/* Of one map (faults to refilled, zero_pages to fallbacks, resident_bytes and pinned_bytes), or of
 * the process when map is NULL. */
int pagein_stats(struct pagein_map *map, struct pagein_stats *ret);

/*
 * What a thread of this process has waited for a map: from the fault being read to its page being
 * filled, or its failure.
 */
#define PAGEIN_STALL_BUCKETS 32
#define PAGEIN_THREADS_MAX 256 /* known of a map: those that have faulted last */
struct pagein_thread_stats {
	int32_t tid; /* as gettid(2) gives it */
	uint64_t faults;
	uint64_t stalled_ns;     /* all together */
	uint64_t stalled_max_ns; /* the longest */
	/* How many stalls were shorter than 1 us ([0]), than 2, 4, 8 and so on; the last counts all
	 * that were longer than the one before. */
	uint64_t stalls[PAGEIN_STALL_BUCKETS];
};

/*
 * The threads that have faulted on the map, who has done so last first: how many are known, and the
 * first max of them in ret (may be NULL if max is 0).
 */
int pagein_thread_stats(struct pagein_map *map, struct pagein_thread_stats *ret, size_t max);

/* What went wrong in this thread's last pagein call that failed; "" if none has. Never NULL. */
const char *pagein_last_error(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
