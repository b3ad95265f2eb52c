/*
 * names.c - a name server whose answers are as bad as the name that is asked for says:
 *
 *	up.test			127.0.0.1
 *	metadata.test		169.254.169.254
 *	slow.test		no answer at all
 *	broken.test		SERVFAIL
 *	garbled.test		bytes that are no answer
 *	any other		NXDOMAIN
 *
 * It is this process's because /etc/resolv.conf is another file in its mount namespace; that needs
 * root. The server's thread lives until the process ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "world.h"

#define ADDRESS                                                                          \
	"127.77.0.1" /* some other loopback address: nobody else's port 53 is in the way \
		      */
#define HEAD_BYTES 12
#define RCODE_SERVFAIL 2
#define RCODE_NXDOMAIN 3

static const struct name_row {
	const char *question; /* as it is sent: each part behind its length */
	enum { ANSWER, SILENCE, FAILURE, GARBAGE } kind;
	uint8_t address[4];
} name_rows[] = {
	{"\2up\4test", ANSWER, {127, 0, 0, 1}},
	{"\10metadata\4test", ANSWER, {169, 254, 169, 254}},
	{"\4slow\4test", SILENCE, {0}},
	{"\6broken\4test", FAILURE, {0}},
	{"\7garbled\4test", GARBAGE, {0}},
};

static const struct name_row *row_of(const uint8_t *question)
{
	for (size_t i = 0; i < array_len(name_rows); i++)
		if (strcmp(name_rows[i].question, (const char *)question) == 0)
			return &name_rows[i];
	return NULL;
}

/* Makes an answer of the query, in place; its length, 0: none. */
static size_t answer(uint8_t *bytes, size_t len, size_t max)
{
	const struct name_row *row = row_of(bytes + HEAD_BYTES);
	size_t question = strnlen((char *)bytes + HEAD_BYTES, len - HEAD_BYTES) + 1 + 4;
	bool is_a = bytes[HEAD_BYTES + question - 3] == 1;
	uint8_t *at = bytes + HEAD_BYTES + question;

	if (HEAD_BYTES + question > len || HEAD_BYTES + question + 16 > max)
		return 0;
	if (row && row->kind == SILENCE)
		return 0;
	if (row && row->kind == GARBAGE) {
		memset(bytes + 2, 0xff, len - 2);
		return len;
	}
	/* An answer, recursion is offered; the additional records are gone. */
	bytes[2] |= 0x80;
	bytes[3] = (uint8_t)(0x80 | (!row                          ? RCODE_NXDOMAIN
					    : row->kind == FAILURE ? RCODE_SERVFAIL
								   : 0));
	memset(bytes + 6, 0, 6);
	if (row && row->kind == ANSWER && is_a) {
		/* The name is the question's; A, IN, for a second, 4 bytes. */
		memcpy(at, "\xc0\x0c\0\1\0\1\0\0\0\1\0\4", 12);
		memcpy(at + 12, row->address, 4);
		at += 16;
		bytes[7] = 1;
	}
	return (size_t)(at - bytes);
}

static void *serve_names(void *context)
{
	int fd = *(int *)context;

	for (;;) {
		uint8_t bytes[1024];
		struct sockaddr_in from;
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(
			fd, bytes, sizeof bytes - 1, 0, (struct sockaddr *)&from, &from_len);
		size_t len;

		if (n < HEAD_BYTES + 5)
			continue;
		bytes[n] = '\0';
		len = answer(bytes, (size_t)n, sizeof bytes);
		if (len > 0)
			sendto(fd, bytes, len, 0, (struct sockaddr *)&from, from_len);
	}
	return NULL;
}

static int resolver_replace(void)
{
	char path[] = "/tmp/pagein-resolv-XXXXXX";
	cleanup_fd int fd = mkostemp(path, O_CLOEXEC);
	const char text[] = "nameserver " ADDRESS "\n";
	int err = 0;

	if (fd < 0 || write(fd, text, sizeof text - 1) < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0)
		err = -errno;
	/* The mount holds it. */
	unlink(path);
	return err;
}

bool names_start(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)};
	static int fd;
	pthread_t thread;
	int err = 0;

	inet_pton(AF_INET, ADDRESS, &address.sin_addr);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		err = -errno;
	if (err == 0)
		err = resolver_replace();
	if (err < 0) {
		fprintf(stderr, "skipped: names: a name server of ours: %s\n", strerror(-err));
		return false;
	}
	assert_int_equal(pthread_create(&thread, NULL, serve_names, &fd), 0);
	pthread_detach(thread);
	return true;
}
