/*
 * sandbox_test.c - the sandbox (tools/sandbox.h): what can't be done in it, what still can, and
 * that the kernel says so.
 *
 * Each attempt is made in a child of its own, twice: without the sandbox it must not fail as it
 * shall fail with it, or it would prove nothing. A row that proves nothing on this kernel is
 * printed. As root all of it is done again as an ordinary user.
 */
#include "attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "landlock_abi.h"
#include "log.h"
#include "needs.h"
#include "sandbox.h"

#define NOBODY 65534

static int abstract_listener, path_listener, landlock_abi;

static struct needs needs_of_table(void)
{
	return (struct needs){
		.files = {{.path = scene.needed}, {.path = scene.renewed, .is_renewed = true}},
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

	for (size_t i = 0; i < row_count; i++) {
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

/* As the tokens of single sign-on are, and nowhere else. */
static int replace_in_needed(void)
{
	char other[128];
	int err;

	snprintf(other, sizeof other, "%s.new", scene.needed);
	err = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? errno : 0;
	return err == 0 && rename(other, scene.needed) < 0 ? errno : err;
}

static void a_directory_that_is_written_is(void **state)
{
	char folder[96];
	struct needs needs = {.files = {{.path = folder}}, .count = 1};

	(void)state;
	if (landlock_abi < 1)
		skip_because("no Landlock");
	snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(scene.needed, '/') - scene.needed),
		scene.needed);
	assert_int_equal(run_attempt(replace_in_needed, &needs, getuid()), EACCES);
	needs.files[0].is_written = needs.writes = true;
	assert_int_equal(run_attempt(replace_in_needed, &needs, getuid()), 0);
	assert_int_equal(run_attempt(create_file, &needs, getuid()), EACCES);
	assert_int_equal(run_attempt(execute, &needs, getuid()), EPERM);
}

/* Another file takes the name, as editors, `aws configure` and Kubernetes have it. */
static void replace_renewed(void)
{
	char new[128];
	cleanup_fd int fd = -1;

	snprintf(new, sizeof new, "%s.new", scene.renewed);
	fd = open(new, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(rename(new, scene.renewed), 0);
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
		assert_true(needs_file(&needs, scene.needed, true));
		assert_true(needs_file(&needs, "/token/of/another", true));
	}
	needs_finish(&needs);
	assert_int_equal(needs.count, 0);
}

static void what_is_needed_follows_from_the_url(void **state)
{
	(void)state;
	setenv("SSL_CERT_FILE", "/certificates", 1);
	setenv("AWS_CONFIG_FILE", scene.needed, 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", scene.renewed, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_PROFILE");
	write_file(scene.needed, "[default]\ncredential_process = /bin/true\n"
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
	scene.parent = getpid();
	landlock_abi = (int)syscall(LANDLOCK_CALL_CREATE, NULL, 0UL, LANDLOCK_ASK_ABI);
	if (landlock_abi < 0)
		print_message("no Landlock: %s: its rows are left out\n", strerror(errno));
	assert_non_null(mkdtemp(scene.base));
	assert_int_equal(chmod(scene.base, 0755), 0);
	snprintf(scene.secret, sizeof scene.secret, "%s/secret", scene.base);
	snprintf(name, sizeof name, "%s/needed", scene.base);
	assert_int_equal(mkdir(name, 0755), 0);
	snprintf(scene.needed, sizeof scene.needed, "%s/file", name);
	snprintf(name, sizeof name, "%s/renewed", scene.base);
	assert_int_equal(mkdir(name, 0755), 0);
	snprintf(scene.renewed, sizeof scene.renewed, "%s/file", name);
	write_file(scene.secret, "secret");
	write_file(scene.needed, "");
	write_file(scene.renewed, "");
	assert_int_equal(chmod(scene.secret, 0666), 0);
	assert_int_equal(chmod(scene.base, 0777), 0);
	scene.abstract = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(scene.abstract.sun_path + 1, sizeof scene.abstract.sun_path - 1, "%s", scene.base);
	abstract_listener = listen_at(&scene.abstract);
	scene.path = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(scene.path.sun_path, sizeof scene.path.sun_path, "%s/socket", scene.base);
	path_listener = listen_at(&scene.path);
	assert_int_equal(chmod(scene.path.sun_path, 0666), 0);
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
		snprintf(name, sizeof name, "%s/%s", scene.base, names[i]);
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
		cmocka_unit_test(a_directory_that_is_written_is),
		cmocka_unit_test(files_that_are_renewed_are_read_again),
		cmocka_unit_test(the_kernel_says_so),
		cmocka_unit_test(what_a_kernel_lacks_is_told_and_the_rest_is_given_up),
		cmocka_unit_test(what_is_needed_follows_from_the_url),
	};

	cmocka_set_test_filter(getenv("TEST"));
	return cmocka_run_group_tests(tests, prepare, clean_up);
}
