/*
 * strangers_test.c - what other users of the machine can do to PAGEIN_SHARED: nothing. The stranger
 * is a child of this process that has become another user, and that has been given, to be as
 * dangerous as can be, what a member of the group has.
 *
 * Needs root, to become somebody else.
 */
#include "fixture.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define PAGES 64
#define SIZE (PAGES * PAGE)
#define NOBODY 65534
#define LINE_MAX_BYTES 512

static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};

/* What a keeper hands over. */
struct gift {
	uint64_t hello;
	int fds[2]; /* the data first */
};

struct envelope {
	struct iovec bytes;
	struct msghdr message;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
};

static void envelope_init(struct envelope *envelope, struct gift *gift)
{
	*envelope = (struct envelope){.bytes = {&gift->hello, sizeof gift->hello}};
	envelope->message = (struct msghdr){
		.msg_iov = &envelope->bytes,
		.msg_iovlen = 1,
		.msg_control = envelope->control,
		.msg_controllen = sizeof envelope->control,
	};
}

/* ---- the group's name --------------------------------------------------------------------- */

/* Of the group that this user has: the kernel lists all names. */
static socklen_t find_name(struct sockaddr_un *ret)
{
	char line[LINE_MAX_BYTES], wanted[32];
	FILE *list = fopen("/proc/net/unix", "re");
	socklen_t length = 0;
	char *name;

	assert_non_null(list);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(wanted, sizeof wanted, "@pagein/%u/", (unsigned)geteuid());
	while (length == 0 && fgets(line, sizeof line, list)) {
		name = strstr(line, wanted);
		/* The one of this object, which has its size at the end. */
		if (!name || !strstr(name, "-40000\n"))
			continue;
		name[strcspn(name, "\n")] = '\0';
		memcpy(ret->sun_path + 1, name + 1, strlen(name + 1));
		length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	}
	fclose(list);
	return length;
}

/* true: two descriptors have come. */
static bool ask_for_gift(const struct sockaddr_un *name, socklen_t length, struct gift *ret)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct envelope envelope;
	struct cmsghdr *header;

	envelope_init(&envelope, ret);
	if (connect(fd, (const struct sockaddr *)name, length) < 0 ||
		recvmsg(fd, &envelope.message, MSG_CMSG_CLOEXEC) <= 0)
		return false;
	header = CMSG_FIRSTHDR(&envelope.message);
	if (!header || header->cmsg_len != CMSG_LEN(sizeof ret->fds))
		return false;
	memcpy(ret->fds, CMSG_DATA(header), sizeof ret->fds);
	return true;
}

/* ---- strangers ---------------------------------------------------------------------------- */

static void become(uid_t uid)
{
	alarm(60);
	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		_exit(100);
}

static int wait_for_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* 1: got what only members get. */
static int ask_as(uid_t uid, const struct sockaddr_un *name, socklen_t length)
{
	struct gift gift;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		become(uid);
		_exit(ask_for_gift(name, length, &gift));
	}
	return wait_for_end(pid);
}

static void a_stranger_is_given_nothing(void **state)
{
	struct session session;
	struct sockaddr_un name;
	socklen_t length;

	(void)state;
	session_start_server(&session, SIZE);
	session_open_object(&session, &patient);
	session_map_as(&session, PAGEIN_SHARED);
	length = find_name(&name);
	assert_true(length > 0);
	assert_int_equal(ask_as(NOBODY, &name, length), 0);
	assert_int_equal(ask_as(geteuid(), &name, length), 1);
	assert_int_equal(session_compare(&session, 0, PAGES), 0);
	session_close(&session);
}

/* Takes the name, says so, and gives to all who come. */
static void keep_as_stranger(
	const struct sockaddr_un *name, socklen_t length, struct gift *gift, int tell)
{
	cleanup_fd int door = -1;
	struct envelope envelope;
	struct cmsghdr *header;

	become(NOBODY);
	door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(door, (const struct sockaddr *)name, length) < 0 || listen(door, 8) < 0 ||
		write(tell, "", 1) != 1)
		_exit(101);
	for (;;) {
		int guest = accept4(door, NULL, NULL, SOCK_CLOEXEC);

		envelope_init(&envelope, gift);
		header = CMSG_FIRSTHDR(&envelope.message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof gift->fds);
		memcpy(CMSG_DATA(header), gift->fds, sizeof gift->fds);
		/* Who does not believe us is gone by now. */
		if (guest >= 0)
			(void)sendmsg(guest, &envelope.message, MSG_NOSIGNAL);
		if (guest < 0 || write(tell, "", 1) != 1)
			_exit(102);
	}
}

/* A real group's files, with wrong bytes in them. */
static void take_and_spoil(
	struct session *session, struct sockaddr_un *name, socklen_t *length, struct gift *gift)
{
	uint8_t *bytes;

	session_open_object(session, &patient);
	session_map_as(session, PAGEIN_SHARED);
	assert_int_equal(session_compare(session, 0, PAGES), 0);
	*length = find_name(name);
	assert_true(*length > 0);
	assert_true(ask_for_gift(name, *length, gift));
	assert_int_equal(pagein_unmap(session->map), 0);
	pagein_close(session->object);
	bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, gift->fds[0], 0);
	assert_true(bytes != MAP_FAILED);
	memset(bytes, 'x', SIZE);
	munmap(bytes, SIZE);
}

/* Maps again, while somebody offers these files at the group's name. */
static int wrong_bytes_with(struct session *session, const struct sockaddr_un *name,
	socklen_t length, struct gift *gift)
{
	int told[2], found;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		keep_as_stranger(name, length, gift, told[1]);
	close(told[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	session_open_object(session, &patient);
	session_map_as(session, PAGEIN_SHARED);
	found = session_compare(session, 0, PAGES);
	/* It was asked: the map is right because it was not believed. */
	assert_int_equal(read(told[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	wait_for_end(pid);
	close(told[0]);
	return found;
}

static void a_strangers_group_is_not_joined(void **state)
{
	struct session session;
	struct sockaddr_un name;
	struct gift gift;
	socklen_t length;

	(void)state;
	session_start_server(&session, SIZE);
	take_and_spoil(&session, &name, &length, &gift);
	assert_int_equal(wrong_bytes_with(&session, &name, length, &gift), 0);
	close(gift.fds[0]);
	close(gift.fds[1]);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stranger_is_given_nothing),
		cmocka_unit_test(a_strangers_group_is_not_joined),
	};

	if (geteuid() != 0) {
		fprintf(stderr, "skipped: strangers are other users: it needs root\n");
		return 77;
	}
	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
