/*
 * share.c - a group's data and its ledger.
 *
 * The ledger: a head, which says what the group shares; a seat for each process; for each 64 pages
 * a word of those that are present; for each page a word of who leases it. It is as sparse as the
 * object's use: 0.1 % of what was touched.
 *
 * A seat is held by a robust mutex that the loop's thread locks as long as it lives. However that
 * ends, the kernel unlocks it, so a lease whose owner is dead is known by trying its seat's lock:
 * no heartbeat, no pid that another process has by now. A seat's term goes up with each holder, and
 * a lease names seat and term, so that it ends with its holder and needs no cleaning up. Without a
 * seat (SEATS are taken) a process fetches for itself, and publishes what it has.
 *
 * Who waits for others' pages raises a flag at its seat before it looks for the last time; who
 * publishes looks for flags afterwards. Both are sequentially consistent, so one of them sees the
 * other. The poke is an empty datagram to a socket in the loop's epoll: nobody else can tell, and a
 * stranger who sends one makes the loop look once more. A poke that gets lost costs LOOK_NS.
 *
 * On the loop, but for share_join(). Cost: a present page is one load, a lease one
 * compare-and-swap. Rejected: futexes, for which a loop would need a second thread that waits;
 * tmpfs files, which stay behind when their last user is killed.
 */
#include "share.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fcntl.h>

#include "cleanup.h"
#include "clock.h"
#include "pages.h"

#define LEDGER_MAGIC UINT64_C(0x1072656764656c70)
#define SEATS 255
#define SEAT_BITS 8
#define KEY_MAX 4096 /* longer URLs are shared by none */

struct seat {
	pthread_mutex_t life; /* robust; locked: the holder lives */
	_Atomic uint32_t term;
	_Atomic uint32_t waits; /* poke me */
	_Atomic uint32_t poked; /* a datagram is on its way */
	char socket[8];         /* its abstract name, as the kernel gave it */
};

struct ledger {
	uint64_t magic;
	uint64_t size;
	char key[KEY_MAX];
	struct seat seats[SEATS];
};

struct share {
	struct meeting meeting;
	struct ledger *ledger;
	_Atomic uint64_t *present;
	_Atomic uint32_t *leases; /* of each page: term and seat of who fetches it; 0: nobody */
	uint8_t *bytes;
	uint64_t size; /* of the object */
	size_t data_bytes, ledger_bytes;
	struct loop *loop; /* entered */
	struct loop_fd mailbox;
	unsigned seat;         /* + 1; 0: none */
	uint32_t mark;         /* of its leases */
	uint32_t stuck[SEATS]; /* marks of those from whom a lease was taken by force */
	void (*poked)(void *context);
	void *context;
	char key[KEY_MAX];
};

/* ---- the memory ---------------------------------------------------------------------------- */

static uint64_t blocks_of(uint64_t size)
{
	return (size + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

static void share_measure(struct share *share)
{
	uint64_t blocks = blocks_of(share->size);

	share->data_bytes = (size_t)align_up(share->size, PAGE_BYTES);
	share->ledger_bytes = sizeof *share->ledger + (size_t)blocks * sizeof *share->present +
			      (size_t)blocks * BLOCK_PAGES * sizeof *share->leases;
}

/* A file that nobody can cut short under those who map it. */
static int make_file(size_t size)
{
	cleanup_fd int fd = memfd_create("pagein", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return steal_fd(&fd);
}

static void *map_file(int fd, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (memory != MAP_FAILED)
		madvise(memory, size, MADV_DONTFORK);
	return memory == MAP_FAILED ? NULL : memory;
}

static void ledger_fill(struct ledger *ledger, const struct share *share)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	for (unsigned i = 0; i < SEATS; i++)
		pthread_mutex_init(&ledger->seats[i].life, &attributes);
	pthread_mutexattr_destroy(&attributes);
	ledger->size = share->size;
	strcpy(ledger->key, share->key);
	ledger->magic = LEDGER_MAGIC;
}

static int share_found(struct share_fds *ret, void *context)
{
	struct share *share = context;
	cleanup_fd int data = make_file(share->data_bytes);
	cleanup_fd int fd = data < 0 ? data : make_file(share->ledger_bytes);
	struct ledger *ledger;

	if (fd < 0)
		return fd;
	ledger = map_file(fd, sizeof *ledger);
	if (!ledger)
		return -ENOMEM;
	ledger_fill(ledger, share);
	munmap(ledger, sizeof *ledger);
	*ret = (struct share_fds){steal_fd(&data), steal_fd(&fd)};
	return 0;
}

static bool is_file_of(int fd, size_t size)
{
	int seals = fcntl(fd, F_GET_SEALS), wanted = F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat status;

	return seals >= 0 && (seals & wanted) == wanted && fstat(fd, &status) == 0 &&
	       (size_t)status.st_size == size;
}

/* Maps what was handed over, once it is what it ought to be. -EPROTO: it is not. */
static int share_map(struct share *share)
{
	const struct share_fds *fds = &share->meeting.fds;
	uint8_t *memory;

	if (!is_file_of(fds->data, share->data_bytes) ||
		!is_file_of(fds->ledger, share->ledger_bytes))
		return -EPROTO;
	share->bytes = map_file(fds->data, share->data_bytes);
	memory = map_file(fds->ledger, share->ledger_bytes);
	share->ledger = (void *)memory;
	if (!share->bytes || !memory)
		return -ENOMEM;
	if (share->ledger->magic != LEDGER_MAGIC || share->ledger->size != share->size ||
		strncmp(share->ledger->key, share->key, sizeof share->key) != 0)
		return -EPROTO;
	share->present = (void *)(memory + sizeof *share->ledger);
	share->leases = (void *)(share->present + blocks_of(share->size));
	return 0;
}

static void share_unmap(struct share *share)
{
	if (share->bytes)
		munmap(share->bytes, share->data_bytes);
	if (share->ledger)
		munmap(share->ledger, share->ledger_bytes);
	share->bytes = NULL;
	share->ledger = NULL;
}

/* ---- joining ------------------------------------------------------------------------------- */

/* FNV-1a: which name, not whose; the key is compared in full. */
static uint64_t hash_of(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	return hash;
}

static int share_try(struct share *share, const char *name)
{
	int err = meeting_join(&share->meeting, name, share_found, share);

	if (err < 0)
		return err;
	err = share_map(share);
	if (err < 0) {
		share_unmap(share);
		meeting_finish(&share->meeting);
	}
	return err;
}

int share_join(const char *url, const char *validator, uint64_t size, struct share **ret)
{
	struct share *share = calloc(1, sizeof *share);
	char name[64];
	int length, err;

	if (!share)
		return -ENOMEM;
	share->size = size;
	share->mailbox.fd = -1;
	share_measure(share);
	length = snprintf(share->key, sizeof share->key, "%s\n%s", url, validator);
	snprintf(name, sizeof name, "pagein/%u/%016llx-%llx", (unsigned)geteuid(),
		(unsigned long long)hash_of(share->key), (unsigned long long)size);
	err = -EPROTO;
	/* What can't be told from another version is not shared. */
	if (validator[0] != '\0' && (size_t)length < sizeof share->key)
		err = share_try(share, name);
	if (err == -EPROTO)
		err = share_try(share, NULL);
	if (err < 0)
		free(share);
	else
		*ret = share;
	return err;
}

/* ---- seats --------------------------------------------------------------------------------- */

/* Takes the lock of a seat that nobody holds, or whose holder has died. */
static bool seat_lock(struct seat *seat)
{
	int err = pthread_mutex_trylock(&seat->life);

	if (err == EOWNERDEAD)
		err = pthread_mutex_consistent(&seat->life);
	return err == 0;
}

static void share_sit_down(struct share *share)
{
	struct sockaddr_un address;
	socklen_t length = sizeof address;
	size_t name_length;

	if (getsockname(share->mailbox.fd, (struct sockaddr *)&address, &length) < 0)
		return;
	name_length = length - offsetof(struct sockaddr_un, sun_path);
	for (unsigned i = 0; i < SEATS; i++) {
		struct seat *seat = &share->ledger->seats[i];

		if (name_length > sizeof seat->socket || !seat_lock(seat))
			continue;
		memset(seat->socket, 0, sizeof seat->socket);
		memcpy(seat->socket, address.sun_path, name_length);
		atomic_store(&seat->waits, 0);
		atomic_store(&seat->poked, 0);
		share->mark = ((atomic_fetch_add(&seat->term, 1) + 1) << SEAT_BITS) | (i + 1);
		share->seat = i + 1;
		return;
	}
}

static bool is_alive(struct share *share, uint32_t mark)
{
	struct seat *seat = &share->ledger->seats[(mark & SEATS) - 1];
	uint32_t term = mark >> SEAT_BITS;

	if (share->stuck[(mark & SEATS) - 1] == mark)
		return false;
	/* A term has 24 bits here. */
	if ((atomic_load(&seat->term) & (UINT32_MAX >> SEAT_BITS)) != term)
		return false;
	if (!seat_lock(seat))
		return true;
	pthread_mutex_unlock(&seat->life);
	return false;
}

/* ---- mail ---------------------------------------------------------------------------------- */

static int mailbox_open(struct share *share)
{
	/* No name: the kernel finds a free one. */
	const struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	share->mailbox.fd = fd;
	share_fd_open(fd);
	return bind(fd, (const struct sockaddr *)&address, sizeof address.sun_family) < 0 ? -errno
											  : 0;
}

static void share_look(struct share *share)
{
	if (share->seat)
		atomic_store(&share->ledger->seats[share->seat - 1].poked, 0);
	share->poked(share->context);
}

static void mailbox_ready(struct loop_fd *fd, uint32_t events)
{
	struct share *share = container_of(fd, struct share, mailbox);
	char byte;

	(void)events;
	while (recv(fd->fd, &byte, sizeof byte, 0) >= 0)
		;
	share_look(share);
}

static void share_changed(struct meeting *meeting)
{
	share_look(container_of(meeting, struct share, meeting));
}

static void seat_poke(struct share *share, struct seat *seat)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = sizeof seat->socket;

	while (length > 1 && seat->socket[length - 1] == '\0')
		length--;
	memcpy(address.sun_path, seat->socket, length);
	/* Full, or gone: then it looks by itself. */
	(void)sendto(share->mailbox.fd, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL,
		(struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}

void share_poke(struct share *share)
{
	for (unsigned i = 0; i < SEATS; i++) {
		struct seat *seat = &share->ledger->seats[i];

		/* Seats are taken from the first one on. */
		if (atomic_load(&seat->term) == 0)
			return;
		if (i + 1 != share->seat && atomic_load(&seat->waits) &&
			atomic_exchange(&seat->poked, 1) == 0)
			seat_poke(share, seat);
	}
}

void share_wait(struct share *share, bool waits)
{
	if (share->seat)
		atomic_store(&share->ledger->seats[share->seat - 1].waits, waits);
}

int share_enter(struct share *share, struct loop *loop, void (*poked)(void *context), void *context)
{
	int err = mailbox_open(share);

	if (err < 0)
		return err;
	share->poked = poked;
	share->context = context;
	share->mailbox.ready = mailbox_ready;
	err = loop_add(loop, &share->mailbox, EPOLLIN);
	if (err < 0)
		return err;
	share->loop = loop;
	share_sit_down(share);
	return meeting_enter(&share->meeting, loop, share_changed);
}

void share_destroy(struct share *share)
{
	if (!share)
		return;
	/* Before its memory goes: the kernel has it on the thread's list. */
	if (share->seat) {
		atomic_store(&share->ledger->seats[share->seat - 1].waits, 0);
		pthread_mutex_unlock(&share->ledger->seats[share->seat - 1].life);
	}
	if (share->seat)
		share_poke(share);
	if (share->loop)
		loop_remove(share->loop, &share->mailbox);
	meeting_finish(&share->meeting);
	share_fd_close(&share->mailbox.fd);
	share_unmap(share);
	free(share);
}

/* ---- pages --------------------------------------------------------------------------------- */

int share_fd(const struct share *share)
{
	return share->meeting.fds.data;
}

uint8_t *share_bytes(const struct share *share)
{
	return share->bytes;
}

uint64_t share_present(const struct share *share, uint64_t block)
{
	return atomic_load(&share->present[block]);
}

void share_publish(struct share *share, uint64_t block, uint64_t pages)
{
	atomic_fetch_or(&share->present[block], pages);
}

void share_retract(struct share *share, uint64_t block, uint64_t pages)
{
	atomic_fetch_and(&share->present[block], ~pages);
}

static bool lease_take(struct share *share, _Atomic uint32_t *lease, bool force)
{
	uint32_t owner = atomic_load(lease);

	if (owner == share->mark)
		return true;
	if (owner != 0 && force)
		share->stuck[(owner & SEATS) - 1] = owner;
	if (owner != 0 && !force && is_alive(share, owner))
		return false;
	return atomic_compare_exchange_strong(lease, &owner, share->mark);
}

uint64_t share_lease(struct share *share, uint64_t block, uint64_t pages, bool force)
{
	uint64_t taken = 0;

	if (!share->seat)
		return pages;
	while (pages) {
		uint64_t bit = pages & -pages;
		uint64_t page = block * BLOCK_PAGES + (uint64_t)__builtin_ctzll(pages);

		pages &= ~bit;
		if (lease_take(share, &share->leases[page], force))
			taken |= bit;
	}
	return taken;
}

void share_release(struct share *share, uint64_t block, uint64_t pages)
{
	while (pages && share->seat) {
		uint64_t page = block * BLOCK_PAGES + (uint64_t)__builtin_ctzll(pages);
		uint32_t own = share->mark;

		pages &= pages - 1;
		atomic_compare_exchange_strong(&share->leases[page], &own, 0);
	}
}
