/*
 * sandbox_test.c - the sandbox (tools/sandbox.h): what can't be done in it, what still can, and
 * that the kernel says so.
 *
 * Each attempt is made in a child of its own, twice: without the sandbox it must not fail as it
 * shall fail with it, or it would prove nothing. A row that proves nothing on this kernel is
 * printed. As root all of it is done again as an ordinary user.
 */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "landlock_abi.h"
#include "log.h"
#include "needs.h"
#include "sandbox.h"

#define NOBODY 65534
#define CHILD_FAILED 250 /* no errno */

extern char **environ;

/* base/secret, base/needed/file: what may not, and what may be read. */
static char base[] = "/tmp/pagein-sandbox-XXXXXX";
static char secret[64], needed[96], renewed[96];
static pid_t parent;
static int abstract_listener, path_listener;
static struct sockaddr_un abstract, path;
static int landlock_abi;

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

static int read_secret(void)
{
	return try_open(secret, O_RDONLY);
}

static int list_base(void)
{
	return try_open(base, O_RDONLY | O_DIRECTORY);
}

static int write_secret(void)
{
	return try_open(secret, O_WRONLY);
}

static int create_file(void)
{
	char name[80];

	int err;

	snprintf(name, sizeof name, "%s/new", base);
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
	return try_connect(&abstract);
}

static int connect_path(void)
{
	return try_connect(&path);
}

static int signal_parent(void)
{
	return result(kill(parent, 0));
}

static int signal_parents_thread(void)
{
	return result(syscall(SYS_tgkill, parent, parent, 0));
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

static int execute(void)
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

	return result(stat(secret, &status));
}

static int read_needed(void)
{
	return try_open(needed, O_RDONLY);
}

static int read_renewed(void)
{
	return try_open(renewed, O_RDONLY);
}

static int read_etc(void)
{
	return try_open("/etc/passwd", O_RDONLY);
}

static int read_proc(void)
{
	char name[32];

	snprintf(name, sizeof name, "/proc/%d/status", parent);
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

typedef int attempt(void);

static const struct row {
	attempt *attempt;
	const char *name;
	int with;     /* in the sandbox: the errno */
	int programs; /* in that of a source which runs programs; -1: as without any */
	int abi;      /* of Landlock; 0: it has nothing to do with that */
	bool unless_sanitized;
} rows[] = {
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

static struct needs needs_of_table(void)
{
	return (struct needs){
		.files = {{needed, false}, {renewed, true}},
		.count = 2,
	};
}

/* What the attempt's child ends with. */
static int run_attempt(attempt *what, const struct needs *needs, uid_t uid)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (uid != getuid() &&
			(setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
			_exit(CHILD_FAILED);
		if (needs)
			sandbox_enter(needs);
		errno = 0;
		_exit(what());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_FAILED;
}

static unsigned check_row(const struct row *row, const struct needs *needs, uid_t uid)
{
	int expected = needs->programs && row->programs >= 0 ? row->programs : row->with;
	int without = run_attempt(row->attempt, NULL, uid), with;

	if (needs->programs && row->programs < 0)
		expected = without;
	else if (expected != 0 && without == expected) {
		print_message("proves nothing: %s is %s anyway\n", row->name, strerror(without));
		return 0;
	}
	with = run_attempt(row->attempt, needs, uid);
	if (with == expected)
		return 0;
	print_error("%s%s: %d (%s) instead of %d (%s); %d without\n", row->name,
		needs->programs ? ", with programs" : "", with, strerror(with), expected,
		strerror(expected), without);
	return 1;
}

static void check_table(const struct needs *needs, uid_t uid)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < array_len(rows); i++) {
		const struct row *row = &rows[i];

		if (row->abi > landlock_abi || (row->unless_sanitized && WITH_SANITIZER))
			print_message("left out: %s\n", row->name);
		else
			wrong += check_row(row, needs, uid);
	}
	assert_int_equal(wrong, 0);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void what_is_not_needed_is_denied(void **state)
{
	struct needs needs = needs_of_table();

	(void)state;
	check_table(&needs, getuid());
}

static void to_an_ordinary_user_as_well(void **state)
{
	struct needs needs = needs_of_table();

	(void)state;
	if (getuid() != 0)
		skip_because("not root: that was an ordinary user");
	check_table(&needs, NOBODY);
}

static void who_runs_programs_keeps_what_they_need(void **state)
{
	struct needs needs = needs_of_table();

	(void)state;
	needs.programs = true;
	check_table(&needs, getuid());
}

static void a_file_source_reads_all_and_writes_nothing(void **state)
{
	struct needs needs = {.any_file = true};

	(void)state;
	if (landlock_abi < 1)
		skip_because("no Landlock");
	assert_int_equal(run_attempt(read_secret, &needs, getuid()), 0);
	assert_int_equal(run_attempt(list_base, &needs, getuid()), 0);
	assert_int_equal(run_attempt(write_secret, &needs, getuid()), EACCES);
	assert_int_equal(run_attempt(create_file, &needs, getuid()), EACCES);
}

/* Another file takes the name, as editors, `aws configure` and Kubernetes have it. */
static void replace_renewed(void)
{
	char new[128];
	cleanup_fd int fd = -1;

	snprintf(new, sizeof new, "%s.new", renewed);
	fd = open(new, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(rename(new, renewed), 0);
}

static void files_that_are_renewed_are_read_again(void **state)
{
	struct needs needs = needs_of_table();
	int to_child[2], from_child[2], status;
	char byte = 0;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(from_child), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		sandbox_enter(&needs);
		if (write(from_child[1], "", 1) != 1 || read(to_child[0], &byte, 1) != 1)
			_exit(CHILD_FAILED);
		_exit(read_renewed());
	}
	assert_int_equal(read(from_child[0], &byte, 1), 1);
	replace_renewed();
	assert_int_equal(write(to_child[1], "", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(from_child[i]);
	}
}

static int tell_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return CHILD_FAILED;
	if ((data[0].effective | data[0].permitted) & ~(1U << CAP_DAC_READ_SEARCH))
		return 1;
	return (data[1].effective | data[1].permitted | data[0].inheritable) ? 2 : 0;
}

static int tell_privileges(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int tell_filter(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
}

static void the_kernel_says_so(void **state)
{
	struct needs needs = needs_of_table();

	(void)state;
	assert_int_equal(run_attempt(tell_capabilities, &needs, getuid()), 0);
	assert_int_equal(run_attempt(tell_privileges, NULL, getuid()), 0);
	assert_int_equal(run_attempt(tell_privileges, &needs, getuid()), 1);
	assert_int_equal(run_attempt(tell_filter, NULL, getuid()), 0);
	assert_int_equal(run_attempt(tell_filter, &needs, getuid()), 2);
}

/* ---- kernels that have less --------------------------------------------------------------- */

static bool is_told;

static void look_for_words(enum log_level level, const char *line, void *context)
{
	is_told |= level == LOG_INFO && strstr(line, context);
}

/* As where one of the calls is not there: then what else, and is it told? */
static int enter_without(const char *call, const char *words, attempt *what)
{
	struct needs needs = needs_of_table();
	int number = seccomp_syscall_resolve_name(call), status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

		if (!filter || seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0) < 0 ||
			seccomp_load(filter) < 0)
			_exit(CHILD_FAILED);
		seccomp_release(filter);
		log_set_level(LOG_INFO);
		log_set_handler(look_for_words, (void *)words);
		sandbox_enter(&needs);
		_exit(is_told ? what() : CHILD_FAILED);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_FAILED;
}

static void what_a_kernel_lacks_is_told_and_the_rest_is_given_up(void **state)
{
	static const char landlock[] = "landlock_create_ruleset";

	(void)state;
	/* Each time one part that is gone, and one that is there. */
	assert_int_equal(enter_without(landlock, "no Landlock here", read_secret), 0);
	assert_int_equal(enter_without(landlock, "no Landlock here", execute), EPERM);
	assert_int_equal(enter_without("seccomp", "no seccomp here", execute), ENOENT);
	assert_int_equal(enter_without("seccomp", "no seccomp here", tell_privileges), 1);
	assert_int_equal(enter_without("capset", "no dropping of capabilities", tell_filter), 2);
	if (landlock_abi >= 1)
		assert_int_equal(enter_without("seccomp", "no seccomp here", read_secret), EACCES);
}

/* ---- needs -------------------------------------------------------------------------------- */

static bool needs_file(const struct needs *needs, const char *name, bool is_renewed)
{
	for (size_t i = 0; i < needs->count; i++)
		if (strcmp(needs->files[i].path, name) == 0)
			return needs->files[i].is_renewed == is_renewed;
	return false;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(name, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static void expect_needs(const char *url, bool any_file, bool programs)
{
	struct source_options options = {.url = url, .token_file = "/tokens"};
	struct needs needs = {.count = 0};

	assert_int_equal(needs_find(&options, &needs), 0);
	assert_int_equal(needs.any_file, any_file);
	assert_int_equal(needs.programs, programs);
	assert_true(needs_file(&needs, "/tokens", false));
	assert_true(needs_file(&needs, "/certificates", true));
	if (strncmp(url, "s3:", 3) == 0) {
		assert_true(needs_file(&needs, needed, true));
		assert_true(needs_file(&needs, "/token/of/another", true));
	}
	needs_finish(&needs);
	assert_int_equal(needs.count, 0);
}

static void what_is_needed_follows_from_the_url(void **state)
{
	(void)state;
	setenv("SSL_CERT_FILE", "/certificates", 1);
	setenv("AWS_CONFIG_FILE", needed, 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", renewed, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_PROFILE");
	write_file(needed, "[default]\ncredential_process = /bin/true\n"
			   "[profile other]\nweb_identity_token_file = /token/of/another\n");
	expect_needs("http://host/", false, false);
	expect_needs("file:///srv/", true, false);
	expect_needs("manifest:list.jsonl", true, true);
	expect_needs("manifest:https://host/list.jsonl", false, true);
	expect_needs("manifest:https://host/list.jsonl#a/b", false, true);
	expect_needs("s3://bucket/", false, true);
	/* What nobody uses costs nothing. */
	setenv("AWS_ACCESS_KEY_ID", "key", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	expect_needs("s3://bucket/", false, false);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("SSL_CERT_FILE");
}

/* ---- before and after --------------------------------------------------------------------- */

static int listen_at(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)address, sizeof *address), 0);
	assert_int_equal(listen(fd, 256), 0);
	return fd;
}

static int prepare(void **state)
{
	char name[80];

	(void)state;
	parent = getpid();
	landlock_abi = (int)syscall(LANDLOCK_CALL_CREATE, NULL, 0UL, LANDLOCK_ASK_ABI);
	if (landlock_abi < 0)
		print_message("no Landlock: %s: its rows are left out\n", strerror(errno));
	assert_non_null(mkdtemp(base));
	assert_int_equal(chmod(base, 0755), 0);
	snprintf(secret, sizeof secret, "%s/secret", base);
	snprintf(name, sizeof name, "%s/needed", base);
	assert_int_equal(mkdir(name, 0755), 0);
	snprintf(needed, sizeof needed, "%s/file", name);
	snprintf(name, sizeof name, "%s/renewed", base);
	assert_int_equal(mkdir(name, 0755), 0);
	snprintf(renewed, sizeof renewed, "%s/file", name);
	write_file(secret, "secret");
	write_file(needed, "");
	write_file(renewed, "");
	assert_int_equal(chmod(secret, 0666), 0);
	assert_int_equal(chmod(base, 0777), 0);
	abstract = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(abstract.sun_path + 1, sizeof abstract.sun_path - 1, "%s", base);
	abstract_listener = listen_at(&abstract);
	path = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(path.sun_path, sizeof path.sun_path, "%s/socket", base);
	path_listener = listen_at(&path);
	assert_int_equal(chmod(path.sun_path, 0666), 0);
	return 0;
}

static int clean_up(void **state)
{
	static const char *const names[] = {
		"needed/file", "renewed/file", "needed", "renewed", "socket", "secret", ""};
	char name[80];

	(void)state;
	close(abstract_listener);
	close(path_listener);
	for (size_t i = 0; i < array_len(names); i++) {
		snprintf(name, sizeof name, "%s/%s", base, names[i]);
		(void)remove(name);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_needed_is_denied),
		cmocka_unit_test(to_an_ordinary_user_as_well),
		cmocka_unit_test(who_runs_programs_keeps_what_they_need),
		cmocka_unit_test(a_file_source_reads_all_and_writes_nothing),
		cmocka_unit_test(files_that_are_renewed_are_read_again),
		cmocka_unit_test(the_kernel_says_so),
		cmocka_unit_test(what_a_kernel_lacks_is_told_and_the_rest_is_given_up),
		cmocka_unit_test(what_is_needed_follows_from_the_url),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, prepare, clean_up);
}
