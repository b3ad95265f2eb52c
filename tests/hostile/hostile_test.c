/*
 * hostile_test.c - runs the table (table.h) and judges it.
 *
 * All cases of a moment are met at once, each on an object of its own:
 *
 *	at open:  the rules hold; open and read, judge      the rules are gone; open and read: right
 *	later:    open and read a page     the rules hold; read on, judge     gone; read on: right
 *
 * So a case is also one among a hundred others that hang, break off and lie on the same mount, the
 * same loop and the same pool of connections: what one of them does to the others fails those.
 *
 * A case passes when its errno, its words and its time are as the table says, when every byte that
 * was delivered is right, when the origin has met one of its rules (else nothing was tested), and
 * when all is well again once the origin is. HOSTILE=TEXT runs the rows with TEXT in their names.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "jobs.h"
#include "shared.h"
#include "uffd.h"

#define CASES_MIN 250

static unsigned failures;
static bool has_userfaultfd;

/* ---- what is mounted ---------------------------------------------------------------------- */

static void set_environment(void)
{
	static char endpoint[64];

	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", world.origin.port);
	setenv("AWS_ENDPOINT_URL", endpoint, 1);
	setenv("AWS_ACCESS_KEY_ID", "key", 1);
	setenv("AWS_SECRET_ACCESS_KEY", PASSWORD, 1);
	setenv("AWS_REGION", "us-east-1", 1);
	setenv("AWS_CONFIG_FILE", "/dev/null", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
}

static void start_mounts(void)
{
	char manifest[96], source[128], options[128];

	snprintf(manifest, sizeof manifest, "%s/list.jsonl", world.base);
	write_manifest(manifest);
	make_common_pages();
	set_script(MOMENTS);
	set_environment();
	snprintf(options, sizeof options,
		"timeout=%dms,deadline=%dms,metadata-ttl=1s,negative-ttl=0s", TIMEOUT_MS,
		DEADLINE_MS);
	mount_start(&world, &world.web, server_url(&world.origin, ""), options);
	snprintf(source, sizeof source, "manifest:%s", manifest);
	mount_start(&world, &world.manifest, source, options);
	mount_start(&world, &world.bucket, "s3://bucket/", options);
	snprintf(source, sizeof source, "file://%s/", world.origin.root);
	mount_start(&world, &world.files, source, options);
}

/* ---- judgement ---------------------------------------------------------------------------- */

static const char *job_log(const struct job *job)
{
	if (job->row->subject == BUCKET)
		return world.bucket.log;
	if (is_file(job->row))
		return world.files.log;
	return job->row->url ? world.manifest.log : world.web.log;
}

/* What is in all lines about the job and in no other: its path, or its server, if that is its own.
 */
static const char *job_tag(const struct job *job, char url[512])
{
	char *host;

	if (!job->row->url || is_file(job->row) || !(job->row->needs_tls || job->row->stays))
		return job->path;
	make_url(job, url, 512);
	host = strstr(url, "://") + 3;
	host[strcspn(host, "/")] = '\0';
	return host;
}

static bool is_told(const struct job *job, const struct expected *expected)
{
	char url[512];

	if (!expected->words || !expected->err || job->err == expected->or_err)
		return true;
	if (job->door != DOOR_MOUNT)
		return strstr(job->words, expected->words) != NULL;
	/* That something is not there is an answer, which no log repeats. */
	return expected->err == ENOENT ||
	       log_tells(job_log(job), job_tag(job, url), expected->words);
}

static void complain(const struct job *job, const char *what)
{
	static const char *const doors[] = {"mount", "map", "ls"};

	failures++;
	fprintf(stderr, "%s, %s, %s: %s: %s%s%s (%u names; %.1f s; %s)\n", job->row->name,
		job->moment == AT_OPEN ? "at open" : "later", doors[job->door], what,
		job->err > 0 ? strerrorname_np(job->err)
		: job->err   ? "an error"
			     : "no error",
		*job->words ? ": " : "", job->words, job->names, job->seconds, job->path);
}

static void judge(const struct job *job, const bool *is_met)
{
	const struct expected *expected = expectation(job->row, job->moment, job->door);
	int err = expected->err && job->door == DOOR_LS ? -1 : expected->err;
	bool met = job->rules_at == job->rules_end;

	for (size_t i = job->rules_at; i < job->rules_end; i++)
		met |= is_met[i];
	if (job->wrong != job->row->undetected)
		complain(job, job->wrong ? "WRONG BYTES" : "right bytes: nothing was tested");
	else if (!met)
		complain(job, "no rule was met");
	else if (job->err != err && !(expected->or_err && job->err == expected->or_err))
		complain(job, "unexpected");
	else if (!err && job->row->subject != OBJECT && job->names != job->row->names)
		complain(job, "another number of names");
	else if (!is_told(job, expected))
		complain(job, "the words are missing");
	else if (job->seconds > expected->within_s)
		complain(job, "too late");
}

/* Which rules of the script some request has met. */
static bool *rules_met(size_t count)
{
	bool *met = calloc(count, sizeof *met);
	cleanup_free char *text = server_text(&world.origin, "rules");
	char *at = text;

	for (size_t i = 0; i < count && *at; i++) {
		met[i] = strtoul(at, &at, 10) > 0;
		at += *at == '\n';
	}
	return met;
}

static size_t jobs_of(enum moment moment, struct job **to)
{
	size_t count = 0;

	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].moment == moment)
			to[count++] = &jobs[i];
	return count;
}

static void judge_all(struct job *const *chosen, size_t count)
{
	cleanup_free bool *met = rules_met(JOBS_MAX * 8);

	for (size_t i = 0; i < count; i++)
		judge(chosen[i], met);
}

/* All is well again. */
static void check_right(struct job *const *chosen, size_t count, const char *when)
{
	for (size_t i = 0; i < count; i++) {
		if (chosen[i]->err || chosen[i]->wrong)
			complain(chosen[i], when);
		chosen[i]->err = 0;
		chosen[i]->wrong = false;
		chosen[i]->names = 0;
		chosen[i]->words[0] = '\0';
	}
}

/* Of listings, of attributes and of that they could not be had: metadata-ttl. */
static void wait_for_disbelief(void)
{
	sleep(2);
}

static void heal(struct job *const *chosen, size_t count)
{
	struct job *healing[JOBS_MAX] = {NULL};
	size_t healing_count = 0;

	for (size_t i = 0; i < count; i++)
		if (!chosen[i]->row->stays && !chosen[i]->row->undetected &&
			!chosen[i]->row->harm && !chosen[i]->row->generated)
			healing[healing_count++] = chosen[i];
	set_script(MOMENTS);
	wait_for_disbelief();
	run_step(healing, healing_count, step_heal);
	check_right(healing, healing_count, "not right when the world is");
}

static void do_harm(struct job *const *chosen, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (chosen[i]->row->harm)
			chosen[i]->row->harm(root_path(chosen[i]->path));
}

/* Those that would hold the others up come behind them. */
static void run_all(struct job *const *chosen, size_t count, void (*step)(struct job *job))
{
	struct job *crowd[JOBS_MAX] = {NULL};
	size_t crowd_count = 0;

	for (size_t i = 0; i < count; i++)
		if (!chosen[i]->row->alone)
			crowd[crowd_count++] = chosen[i];
	run_step(crowd, crowd_count, step);
	for (size_t i = 0; i < count; i++)
		if (chosen[i]->row->alone)
			run_step(&chosen[i], 1, step);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void what_is_met_at_open(void **state)
{
	struct job *chosen[JOBS_MAX];
	size_t count = jobs_of(AT_OPEN, chosen);

	(void)state;
	do_harm(chosen, count);
	set_script(AT_OPEN);
	run_all(chosen, count, step_open);
	judge_all(chosen, count);
	heal(chosen, count);
	assert_int_equal(failures, 0);
}

static void what_is_met_later(void **state)
{
	struct job *chosen[JOBS_MAX];
	size_t count = jobs_of(LATER, chosen);

	(void)state;
	failures = 0;
	set_script(MOMENTS);
	run_step(chosen, count, step_prepare);
	check_right(chosen, count, "not right from the beginning");
	do_harm(chosen, count);
	wait_for_disbelief();
	set_script(LATER);
	if (world.relay_ports[0])
		world_turn(&world);
	run_all(chosen, count, step_later);
	judge_all(chosen, count);
	heal(chosen, count);
	assert_int_equal(failures, 0);
}

static void no_log_tells_a_password(void **state)
{
	(void)state;
	assert_false(log_tells(world.web.log, NULL, PASSWORD));
	assert_false(log_tells(world.manifest.log, NULL, PASSWORD));
	assert_false(log_tells(world.bucket.log, NULL, PASSWORD));
}

static void the_table_is_long_enough(void **state)
{
	static const char *const doors[] = {"mount", "map", "ls"};

	unsigned all = 0;

	(void)state;
	for (unsigned door = 0; door < DOORS; door++) {
		unsigned counts[MOMENTS] = {0};

		for (size_t i = 0; i < job_count; i++)
			counts[jobs[i].moment] += jobs[i].door == door && !jobs[i].row->undetected;
		printf("%s: %u cases at open, %u later\n", doors[door], counts[AT_OPEN],
			counts[LATER]);
		all += counts[AT_OPEN] + counts[LATER];
	}
	printf("%u cases; %zu more that only checksums can tell\n", all, job_count - all);
	if (!getenv("HOSTILE") && has_userfaultfd)
		assert_true(all >= CASES_MIN);
}

static int open_world(void **state)
{
	static const char *const directories[] = {"/mount", "/map", "/bare", "/lists", "/pages"};

	(void)state;
	world_open(&world);
	shared_make(&world.origin);
	for (size_t i = 0; i < array_len(directories); i++)
		assert_int_equal(mkdir(root_path(directories[i]), 0755), 0);
	map_options.timeout_ms = TIMEOUT_MS;
	map_options.deadline_ms = DEADLINE_MS;
	map_options.netrc_file = world.netrc;
	add_jobs(has_userfaultfd);
	start_mounts();
	return 0;
}

static int close_world(void **state)
{
	(void)state;
	world_close(&world);
	shared_finish();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_met_at_open),
		cmocka_unit_test(what_is_met_later),
		cmocka_unit_test(no_log_tells_a_password),
		cmocka_unit_test(the_table_is_long_enough),
	};
	struct uffd_access uffd;

	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		fprintf(stderr, "skipped: /dev/fuse: %s\n", strerror(errno));
		return 77;
	}
	uffd_probe(&uffd);
	has_userfaultfd = uffd.device_err == 0 || uffd.syscall_err == 0;
	if (!has_userfaultfd)
		fprintf(stderr, "skipped: maps: no userfaultfd\n");
	return cmocka_run_group_tests(tests, open_world, close_world);
}
