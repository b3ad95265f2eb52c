/*
 * attempts.c - see attempts.h: the attempts, and the table of what comes of them.
 */
#include "attempts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

extern char **environ;

struct scene scene = {.base = "/tmp/pagein-sandbox-XXXXXX"};

/* ---- attempts: 0, or the errno ------------------------------------------------------------ */

static int result(long value)
{
	return value < 0 ? errno : 0;
}

static int try_open(const char *name, int flags)
{
	cleanup_fd int fd = open(name, flags | O_CLOEXEC, 0600);

	return result(fd);
}

int read_secret(void)
{
	return try_open(scene.secret, O_RDONLY);
}

int list_base(void)
{
	return try_open(scene.base, O_RDONLY | O_DIRECTORY);
}

int write_secret(void)
{
	return try_open(scene.secret, O_WRONLY);
}

int create_file(void)
{
	char name[80];

	int err;

	snprintf(name, sizeof name, "%s/new", scene.base);
	err = try_open(name, O_WRONLY | O_CREAT);
	if (err == 0)
		(void)unlink(name);
	return err;
}

static int bind_tcp(void)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return result(bind(fd, (struct sockaddr *)&address, sizeof address));
}

static int try_connect(const struct sockaddr_un *address)
{
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return result(connect(fd, (const struct sockaddr *)address, sizeof *address));
}

static int connect_abstract(void)
{
	return try_connect(&scene.abstract);
}

static int connect_path(void)
{
	return try_connect(&scene.path);
}

static int signal_parent(void)
{
	return result(kill(scene.parent, 0));
}

static int signal_parents_thread(void)
{
	return result(syscall(SYS_tgkill, scene.parent, scene.parent, 0));
}

static int signal_oneself(void)
{
	return raise(SIGCONT) == 0 ? 0 : EPERM;
}

static int trace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_memory(void)
{
	char from = 1, to = 0;
	struct iovec local = {&to, 1}, remote = {&from, 1};

	return result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}

static int mount_something(void)
{
	return result(mount("none", "/nonexistent", "tmpfs", 0, NULL));
}

static int unmount_something(void)
{
	return result(umount2("/nonexistent", MNT_DETACH));
}

static int enter_namespace(void)
{
	return result(syscall(SYS_setns, -1, 0));
}

static int leave_namespace(void)
{
	return result(syscall(SYS_unshare, 1));
}

/* Two flags that exclude each other. */
static int clone_namespace(void)
{
	return result(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, NULL, NULL, NULL, NULL));
}

static int call_clone3(void)
{
	return result(syscall(SYS_clone3, NULL, 0));
}

static int open_perf(void)
{
	return result(syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0));
}

static int load_bpf(void)
{
	return result(syscall(SYS_bpf, 0, NULL, 1 << 20));
}

static int load_module(void)
{
	return result(syscall(SYS_finit_module, -1, "", 0));
}

static int load_kernel(void)
{
	return result(syscall(SYS_kexec_load, 0, 1 << 20, NULL, 0));
}

static int set_up_uring(void)
{
	return result(syscall(SYS_io_uring_setup, 0, NULL));
}

static int open_userfaultfd(void)
{
	return result(syscall(SYS_userfaultfd, 1 << 30));
}

static int ask_for_key(void)
{
	return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -1000000, 0));
}

static int become_oneself(void)
{
	return result(syscall(SYS_setresuid, getuid(), getuid(), getuid()));
}

static int open_packets(void)
{
	cleanup_fd int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return result(fd);
}

static int type_for_others(void)
{
	return result(syscall(SYS_ioctl, -1, 0x5412 /* TIOCSTI */, NULL));
}

/* setxattrat(2), of Linux 6.13: newer than the table. */
static int call_newer(void)
{
	return result(syscall(463, -1, NULL, 0, NULL, NULL, 0));
}

int execute(void)
{
	char *const none[] = {NULL};

	return result(execve("/nonexistent", none, none));
}

static int unlink_file(void)
{
	return result(unlink("/nonexistent"));
}

static int change_mode(void)
{
	return result(chmod("/nonexistent", 0777));
}

static int serve_others(void)
{
	return result(listen(-1, 1));
}

static int make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? CHILD_FAILED
				  : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

/* ---- what is needed ----------------------------------------------------------------------- */

static int look_at_secret(void)
{
	struct stat status;

	return result(stat(scene.secret, &status));
}

static int read_needed(void)
{
	return try_open(scene.needed, O_RDONLY);
}

int read_renewed(void)
{
	return try_open(scene.renewed, O_RDONLY);
}

static int read_etc(void)
{
	return try_open("/etc/passwd", O_RDONLY);
}

static int read_proc(void)
{
	char name[32];

	snprintf(name, sizeof name, "/proc/%d/status", scene.parent);
	return try_open(name, O_RDONLY);
}

static int write_null(void)
{
	return try_open("/dev/null", O_RDWR);
}

static int resolve_name(void)
{
	struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
	int err = getaddrinfo("localhost", "80", &hints, &found);

	if (err == 0)
		freeaddrinfo(found);
	return err == 0 ? 0 : EHOSTUNREACH;
}

static int open_socket(void)
{
	cleanup_fd int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return errno == EAFNOSUPPORT ? 0 : result(fd);
}

/* A thread that was made in the sandbox is in it. */
static void *thread_run(void *context)
{
	*(int *)context = read_secret();
	return NULL;
}

static int make_thread(void)
{
	pthread_t thread;
	int found = CHILD_FAILED, err = pthread_create(&thread, NULL, thread_run, &found);

	if (err == 0)
		pthread_join(thread, NULL);
	return err != 0 ? err : found == CHILD_FAILED ? CHILD_FAILED : 0;
}

static int read_in_thread(void)
{
	pthread_t thread;
	int found = CHILD_FAILED;

	if (pthread_create(&thread, NULL, thread_run, &found) == 0)
		pthread_join(thread, NULL);
	return found;
}

static int run_program(void)
{
	char *arguments[] = {(char *)"true", NULL};
	int status = 0;
	pid_t child;
	int err = posix_spawnp(&child, "true", NULL, NULL, arguments, environ);

	if (err == 0 && (waitpid(child, &status, 0) < 0 || status != 0))
		err = CHILD_FAILED;
	return err;
}

/* ---- the table ---------------------------------------------------------------------------- */

const struct row rows[] = {
#define ROW(function, ...)                       \
	{                                        \
		function, #function, __VA_ARGS__ \
	}
	ROW(read_secret, EACCES, -1, 1),
	ROW(read_in_thread, EACCES, -1, 1),
	ROW(list_base, EACCES, -1, 1),
	ROW(write_secret, EACCES, -1, 1),
	ROW(create_file, EACCES, -1, 1),
	ROW(bind_tcp, EACCES, -1, 4),
	ROW(connect_abstract, EPERM, -1, 6),
	ROW(signal_parent, EPERM, -1, 0),
	ROW(signal_parents_thread, EPERM, -1, 0),
	ROW(trace, EPERM, EPERM, 0, true),
	ROW(read_memory, EPERM, EPERM, 0, true),
	ROW(mount_something, EPERM, EPERM, 0),
	ROW(unmount_something, EPERM, EPERM, 0),
	ROW(enter_namespace, EPERM, EPERM, 0),
	ROW(leave_namespace, EPERM, EPERM, 0),
	ROW(clone_namespace, EPERM, EPERM, 0),
	ROW(call_clone3, ENOSYS, ENOSYS, 0),
	ROW(open_perf, EPERM, EPERM, 0),
	ROW(load_bpf, EPERM, EPERM, 0),
	ROW(load_module, EPERM, EPERM, 0),
	ROW(load_kernel, EPERM, EPERM, 0),
	ROW(set_up_uring, EPERM, EPERM, 0),
	ROW(open_userfaultfd, EPERM, EPERM, 0),
	ROW(ask_for_key, EPERM, -1, 0),
	ROW(become_oneself, EPERM, EPERM, 0),
	ROW(open_packets, EAFNOSUPPORT, EAFNOSUPPORT, 0),
	ROW(type_for_others, EPERM, EPERM, 0),
	ROW(call_newer, ENOSYS, ENOSYS, 0),
	ROW(execute, EPERM, -1, 0),
	ROW(unlink_file, EPERM, -1, 0),
	ROW(change_mode, EPERM, -1, 0),
	ROW(serve_others, EPERM, -1, 0),
	ROW(make_code, EACCES, EACCES, 0),
	/* What stays. */
	ROW(look_at_secret, 0, 0, 0),
	ROW(read_needed, 0, 0, 0),
	ROW(read_renewed, 0, 0, 0),
	ROW(read_etc, 0, 0, 0),
	ROW(read_proc, 0, 0, 0),
	ROW(write_null, 0, 0, 0),
	ROW(connect_path, 0, 0, 0),
	ROW(resolve_name, 0, 0, 0),
	ROW(open_socket, 0, 0, 0),
	ROW(make_thread, 0, 0, 0),
	ROW(signal_oneself, 0, 0, 0),
	ROW(run_program, EPERM, 0, 0),
#undef ROW
};

const size_t row_count = array_len(rows);
