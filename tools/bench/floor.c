/*
 * floor.c - the floor: what the kernel and the wire charge for a fault that is filled from a
 * server, with no library in between.
 *
 * One thread: a blocking read of the fault, the ranged request on a raw kept-alive socket, a
 * blocking receive, one UFFDIO_COPY. Random accesses ask for what they access, in one request; a
 * sequential run asks once for everything, and copies pages as they come, since that is what
 * streaming costs. It checks the status line and nothing else: it is a measure, not a client. Plain
 * HTTP to a numeric address.
 *
 * The engine "floor-cached" has received all of the object into its own memory before: what is left
 * is the read of the fault and the copy.
 *
 * Of "floor-inline" there is no thread: the one that touches a page is interrupted by SIGBUS
 * (UFFD_FEATURE_SIGBUS), and copies it from that memory in its own handler.
 *
 * `fill` is over when UFFDIO_COPY has returned, which may be after the thread that it wakes went
 * on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "cleanup.h"
#include "clock.h"

#define PAGE UINT64_C(4096)
#define STAGING_BYTES (128 * 1024)

struct floor {
	struct bench_session *session;
	pthread_t thread;
	int uffd;
	int socket;
	bool streaming;
	uint64_t mapped;
	uint8_t *memory;
	uint8_t *staging;
	uint8_t *warm; /* the object's bytes and zeros to the last page's end; NULL: the server's */
	uint64_t unit; /* bytes of an access, in whole pages */
	bool is_inline;
	uint64_t last_fill_ns;    /* for --slow-fill */
	struct fault_stages ends; /* of the newest fault, if somebody wants to know */
	struct sigaction before;
};

static struct floor *inline_floor; /* the one that is open */

static int floor_connect(const struct bench_target *target)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(target->port)};
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (inet_pton(AF_INET, target->host, &to.sin_addr) != 1)
		return -EADDRNOTAVAIL;
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return steal_fd(&fd);
}

static int floor_send(struct floor *floor, uint64_t start, uint64_t end)
{
	const struct bench_target *target = floor->session->target;
	char request[1024];
	int len = snprintf(request, sizeof request,
		"GET %s HTTP/1.1\r\nHost: %s:%u\r\nRange: bytes=%llu-%llu\r\n\r\n", target->path,
		target->host, target->port, (unsigned long long)start, (unsigned long long)end - 1);

	return send(floor->socket, request, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -EIO;
}

/* Receives until the head is whole; how many bytes of staging are body, moved to its front. */
static ssize_t floor_receive_head(struct floor *floor, uint64_t *ret_first_ns)
{
	size_t have = 0;

	for (;;) {
		ssize_t n = recv(floor->socket, floor->staging + have, STAGING_BYTES - 1 - have, 0);
		char *end;

		if (n <= 0)
			return -EIO;
		if (have == 0)
			*ret_first_ns = clock_now_ns();
		have += (size_t)n;
		floor->staging[have] = '\0';
		end = strstr((char *)floor->staging, "\r\n\r\n");
		if (!end)
			continue;
		if (memcmp(floor->staging, "HTTP/1.1 206", 12) != 0)
			return -EPROTO;
		have -= (size_t)(end + 4 - (char *)floor->staging);
		memmove(floor->staging, end + 4, have);
		return (ssize_t)have;
	}
}

static int floor_copy(struct floor *floor, uint64_t offset, const uint8_t *from, size_t len)
{
	while (len > 0) {
		struct uffdio_copy copy = {
			.dst = (uintptr_t)floor->memory + offset,
			.src = (uintptr_t)from,
			.len = len,
		};

		if (ioctl(floor->uffd, UFFDIO_COPY, &copy) == 0)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		if (copy.copy > 0) {
			from += copy.copy;
			offset += (uint64_t)copy.copy;
			len -= (size_t)copy.copy;
		}
	}
	return 0;
}

/*
 * --slow-fill: a part of what the last one took goes by before this one, as the copy wakes the
 * thread that waits for it.
 */
static int floor_copy_slowly(struct floor *floor, uint64_t offset, const uint8_t *from, size_t len)
{
	uint64_t percent = floor->session->options->slow_fill, begun_ns;
	int err;

	if (percent == 0)
		return floor_copy(floor, offset, from, len);
	begun_ns = clock_now_ns();
	while (clock_now_ns() - begun_ns < floor->last_fill_ns * percent / 100)
		;
	begun_ns = clock_now_ns();
	err = floor_copy(floor, offset, from, len);
	floor->last_fill_ns = clock_now_ns() - begun_ns;
	return err;
}

/* Receives [at, end) behind the `have` bytes of staging, and copies whole pages as they come. */
static int floor_fill(struct floor *floor, uint64_t at, uint64_t end, size_t have)
{
	while (at < end) {
		bool last = at + have >= end;
		size_t whole = last ? (size_t)((end - at + PAGE - 1) & ~(PAGE - 1))
				    : have & ~(PAGE - 1);
		ssize_t n;
		int err;

		if (last)
			memset(floor->staging + have, 0, whole - (size_t)(end - at));
		if (last && floor->session->stages)
			floor->ends.end_ns[STAGE_LAST_BYTE] = clock_now_ns();
		if (whole > 0) {
			err = floor_copy_slowly(floor, at, floor->staging, whole);
			if (err < 0 || last)
				return err;
			have -= whole;
			memmove(floor->staging, floor->staging + whole, have);
			at += whole;
		}
		n = recv(floor->socket, floor->staging + have, STAGING_BYTES - PAGE - have, 0);
		if (n <= 0)
			return -EIO;
		have += (size_t)n;
	}
	return 0;
}

static void floor_tell(struct floor *floor)
{
	if (!floor->session->stages)
		return;
	floor->ends.end_ns[STAGE_FILL] = clock_now_ns();
	bench_stages_tell(floor->session->stages, &floor->ends);
}

static int floor_serve(struct floor *floor, uint64_t address, uint64_t event_ns)
{
	uint64_t start = (address - (uintptr_t)floor->memory) & ~(PAGE - 1);
	uint64_t end = floor->streaming ? floor->session->size : start + floor->unit;
	uint64_t *ends = floor->ends.end_ns;
	ssize_t have;
	int err;

	if (end > floor->session->size)
		end = floor->session->size;
	ends[STAGE_EVENT] = event_ns;
	ends[STAGE_SUBMIT] = ends[STAGE_CONNECT] = floor->session->stages ? clock_now_ns() : 0;
	err = floor_send(floor, start, end);
	if (err < 0)
		return err;
	have = floor_receive_head(floor, &ends[STAGE_FIRST_BYTE]);
	if (have < 0)
		return (int)have;
	err = floor_fill(floor, start, end, (size_t)have);
	floor_tell(floor);
	return err;
}

static int floor_serve_cached(struct floor *floor, uint64_t address, uint64_t event_ns)
{
	uint64_t start = (address - (uintptr_t)floor->memory) & ~(PAGE - 1);
	int err;

	floor->ends.end_ns[STAGE_EVENT] = event_ns;
	if (floor->session->stages)
		floor->ends.end_ns[STAGE_LAST_BYTE] = clock_now_ns();
	err = floor_copy_slowly(floor, start, floor->warm + start,
		floor->streaming ? (size_t)(floor->mapped - start) : PAGE);
	floor_tell(floor);
	return err;
}

static void *floor_thread(void *argument)
{
	struct floor *floor = argument;
	struct uffd_msg message;

	/* A blocking read: a poll before it would be one more system call. */
	while (read(floor->uffd, &message, sizeof message) == (ssize_t)sizeof message) {
		uint64_t event_ns = floor->session->stages ? clock_now_ns() : 0;
		uint64_t address = message.arg.pagefault.address;
		int err;

		if (address >= (uintptr_t)floor->memory + floor->mapped) {
			floor_copy(floor, floor->mapped, floor->staging, PAGE);
			return NULL;
		}
		err = floor->warm ? floor_serve_cached(floor, address, event_ns)
				  : floor_serve(floor, address, event_ns);
		if (err < 0) {
			fprintf(stderr, "pagein bench: floor: %s\n", strerrordesc_np(-err));
			_exit(EXIT_FAILURE);
		}
	}
	return NULL;
}

static void floor_touched(int number, siginfo_t *info, void *context)
{
	struct floor *floor = inline_floor;
	uintptr_t address = (uintptr_t)info->si_addr;

	(void)context;
	if (address - (uintptr_t)floor->memory >= floor->mapped ||
		floor_serve_cached(floor, address, floor->session->stages ? clock_now_ns() : 0) < 0)
		signal(number, SIG_DFL);
}

static void floor_catch_touches(struct floor *floor)
{
	struct sigaction action = {
		.sa_sigaction = floor_touched, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	inline_floor = floor;
	sigaction(SIGBUS, &action, &floor->before);
}

static int floor_uffd(struct floor *floor)
{
	struct uffdio_api api = {
		.api = UFFD_API, .features = floor->is_inline ? UFFD_FEATURE_SIGBUS : 0};
	struct uffdio_register argument = {
		.range = {.start = (uintptr_t)floor->memory, .len = floor->mapped + PAGE},
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	floor->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (floor->uffd < 0)
		floor->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (floor->uffd < 0 || ioctl(floor->uffd, UFFDIO_API, &api) < 0 ||
		ioctl(floor->uffd, UFFDIO_REGISTER, &argument) < 0)
		return -errno;
	return 0;
}

static void floor_close(struct bench_session *session)
{
	struct floor *floor = session->state;

	if (!floor)
		return;
	if (floor->thread) {
		/* The page behind the object is the bell. */
		(void)*(volatile uint8_t *)(floor->memory + floor->mapped);
		pthread_join(floor->thread, NULL);
	}
	if (inline_floor == floor) {
		sigaction(SIGBUS, &floor->before, NULL);
		inline_floor = NULL;
	}
	if (floor->memory && floor->memory != MAP_FAILED)
		munmap(floor->memory, floor->mapped + PAGE);
	close_fd(&floor->uffd);
	close_fd(&floor->socket);
	free(floor->staging);
	free(floor->warm);
	free(floor);
	session->state = NULL;
}

/* All of the object, in one request. */
static int floor_warm(struct floor *floor)
{
	uint64_t size = floor->session->size, have, first_ns;
	ssize_t n;

	floor->warm = calloc(1, floor->mapped);
	if (!floor->warm)
		return -ENOMEM;
	if (floor_send(floor, 0, size) < 0)
		return -EIO;
	n = floor_receive_head(floor, &first_ns);
	if (n < 0 || (uint64_t)n > size)
		return -EIO;
	memcpy(floor->warm, floor->staging, (size_t)n);
	for (have = (uint64_t)n; have < size; have += (uint64_t)n) {
		n = recv(floor->socket, floor->warm + have, size - have, 0);
		if (n <= 0)
			return -EIO;
	}
	return 0;
}

static int floor_start(struct floor *floor)
{
	int err;

	floor->socket = floor_connect(floor->session->target);
	if (floor->socket < 0)
		return floor->socket;
	err = floor->session->engine != &bench_floor ? floor_warm(floor) : 0;
	if (err < 0)
		return err;
	floor->memory = mmap(NULL, floor->mapped + PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (floor->memory == MAP_FAILED)
		return -errno;
	err = floor_uffd(floor);
	if (err < 0)
		return err;
	if (floor->is_inline) {
		floor_catch_touches(floor);
		return 0;
	}
	return -pthread_create(&floor->thread, NULL, floor_thread, floor);
}

static int floor_open(struct bench_session *session, enum pattern pattern)
{
	struct floor *floor = calloc(1, sizeof *floor);
	int err = -ENOMEM;

	if (!floor)
		return -ENOMEM;
	session->state = floor;
	floor->session = session;
	floor->uffd = floor->socket = -1;
	floor->streaming = pattern == PATTERN_SEQUENTIAL;
	/* Accesses that overlap on a page would have it copied twice, which can't be. */
	floor->unit = pattern == PATTERN_RANDOM && session->options->access_bytes % PAGE == 0
			      ? session->options->access_bytes
			      : PAGE;
	floor->is_inline = session->engine == &bench_floor_inline;
	session->size = session->target->size;
	floor->mapped = (session->size + PAGE - 1) / PAGE * PAGE;
	floor->staging = aligned_alloc(PAGE, STAGING_BYTES);
	if (floor->staging)
		err = floor_start(floor);
	if (err < 0) {
		snprintf(session->error, sizeof session->error,
			"%s (plain HTTP to a numeric address only)", strerrordesc_np(-err));
		floor_close(session);
		return err;
	}
	session->memory = floor->memory;
	return 0;
}

const struct bench_engine bench_floor = {
	.name = "floor",
	.has_stages = true,
	.open = floor_open,
	.close = floor_close,
};

const struct bench_engine bench_floor_cached = {
	.name = "floor-cached",
	.has_stages = true,
	.open = floor_open,
	.close = floor_close,
};

const struct bench_engine bench_floor_inline = {
	.name = "floor-inline",
	.has_stages = true,
	.open = floor_open,
	.close = floor_close,
};
