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
#include "run.h"
#include "shared.h"
#include "uffd.h"

#define JOBS_MAX 2048
#define CASES_MIN 250
#define RULES_MAX ((size_t)128 << 10) /* of a row: there are ETags of 64 KB */

static const struct table {
	const struct hostile *rows;
	const size_t *count;
} tables[] = {
#define X(name) {name, &name##_count},
	TABLES(X)
#undef X
};

static struct world world;
static struct job jobs[JOBS_MAX];
static size_t job_count;
static unsigned failures;
static bool has_userfaultfd;

/* ---- which cases -------------------------------------------------------------------------- */

static const struct expected *expectation(
	const struct hostile *row, enum moment moment, enum door door)
{
	const struct expected *all = moment == AT_OPEN ? &row->at_open : &row->later;
	const struct expected *own = moment == AT_OPEN ? &row->map_at_open : &row->map_later;

	return door != DOOR_MOUNT && own->is_case ? own : all;
}

static bool is_case(const struct hostile *row, enum moment moment, enum door door)
{
	bool is_object = row->subject == OBJECT;

	if ((door == DOOR_MAP && (!is_object || row->bare || row->no_map || !has_userfaultfd)) ||
		(door == DOOR_LS && (is_object || moment == LATER)) ||
		(door == DOOR_MOUNT && row->only_ls))
		return false;
	if ((row->needs_tls && !world.relay_ports[0]) || (row->needs_dns && !world.has_names))
		return false;
	return expectation(row, moment, door)->is_case;
}

static bool is_file(const struct hostile *row)
{
	return row->url && strncmp(row->url, "file:", 5) == 0;
}

static bool is_wanted(const struct hostile *row)
{
	const char *text = getenv("HOSTILE");

	return !text || strstr(row->name, text);
}

/* ---- scripts ------------------------------------------------------------------------------ */

/* @: the job's path. */
static void put_text(FILE *to, const char *text, const char *path)
{
	for (; *text; text++)
		if (*text == '@' && text[1] != '@')
			fputs(path, to);
		else
			fputc(*(*text == '@' ? ++text : text), to);
}

static void put_conditions(FILE *to, const struct job *job)
{
	if (job->row->subject == BUCKET)
		fprintf(to, "path=/bucket* query=*prefix=%.5s%%2F*", job->path);
	else
		fprintf(to, "path=%s%s", job->path, job->row->subject == INDEX ? "/" : "");
}

/* "/pages/012-o" */
static const char *page_path(const struct job *job)
{
	static char path[64];

	snprintf(path, sizeof path, "/pages/%.5s",
		job->row->subject == BUCKET ? job->path : strrchr(job->path, '/') + 1);
	return path;
}

static bool has_page(const struct hostile *row)
{
	return row->page || row->write_page;
}

/* Its lines; how many. */
static size_t put_rules(FILE *to, const struct job *job)
{
	cleanup_free char *copy = malloc(RULES_MAX);
	char *rest = copy, *line;
	size_t lines = 0;

	world_fill(&world, job->row->rules ? job->row->rules : "", copy, RULES_MAX);
	if (has_page(job->row)) {
		put_conditions(to, job);
		fprintf(to, " : as=%s header=\"Content-Type: %s\"\n", page_path(job),
			job->row->subject == BUCKET ? "application/xml" : "text/html");
		lines++;
	}
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		if (strncmp(line, "path=", 5) != 0) {
			put_conditions(to, job);
			fputs(strstr(line, " : ") ? " " : " : ", to);
		}
		put_text(to, line, job->path);
		fputc('\n', to);
		lines++;
	}
	return lines;
}

/* What holds always: pages that the origin would not make by itself. */
static size_t put_standing_rules(FILE *to)
{
	size_t lines = 2;

	fputs("path=/bare/ : as=/pages/bare header=\"Content-Type: text/html\"\n"
	      "path=/bucket* : as=/pages/root header=\"Content-Type: application/xml\"\n",
		to);
	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].row->subject == BUCKET) {
			put_conditions(to, &jobs[i]);
			fprintf(to, " : as=/pages/right-%.5s\n", jobs[i].path);
			lines++;
		}
	return lines;
}

/* moment MOMENTS: the world is right. */
static void set_script(enum moment moment)
{
	cleanup_free char *text = NULL;
	size_t size = 0, lines;
	FILE *to = open_memstream(&text, &size);

	lines = put_standing_rules(to);
	for (size_t i = 0; i < job_count; i++) {
		if (jobs[i].moment != moment)
			continue;
		jobs[i].rules_at = lines;
		lines += put_rules(to, &jobs[i]);
		jobs[i].rules_end = lines;
	}
	fclose(to);
	server_script(&world.origin, text);
}

/* ---- objects and directories -------------------------------------------------------------- */

static const char *root_path(const char *path)
{
	static char paths[2][256];
	static unsigned next;
	char *to = paths[next++ % 2];

	snprintf(to, sizeof *paths, "%s%s", world.origin.root, path);
	return to;
}

static void make_copy(const struct local *local, const char *path)
{
	FILE *file = file_create(path);

	assert_int_equal(fwrite(local->bytes, 1, local->size, file), local->size);
	fclose(file);
}

static void make_page(const struct job *job)
{
	FILE *file = file_create(root_path(page_path(job)));

	if (job->row->page)
		put_text(file, job->row->page, job->path);
	else
		job->row->write_page(file, job->path);
	fclose(file);
}

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>bucket</Name>"

static void make_right_page(const struct job *job)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/pages/right-%.5s", job->path);
	file = file_create(root_path(path));
	fprintf(file,
		XML_HEAD "<Contents><Key>%sgood</Key><LastModified>2024-05-06T07:08:09.123Z"
			 "</LastModified><Size>5</Size></Contents></ListBucketResult>",
		job->path);
	fclose(file);
}

static void make_object(const struct job *job)
{
	const struct hostile *row = job->row;
	const struct local *local = shared_file(row->file);
	char path[128];

	if (row->harm)
		make_copy(local, root_path(job->path));
	else
		assert_int_equal(link(local->path, root_path(job->path)), 0);
	if (!row->rules || !strstr(row->rules, "@.to"))
		return;
	snprintf(path, sizeof path, "%s.to", job->path);
	assert_int_equal(link(local->path, root_path(path)), 0);
}

static void make_directory(const struct job *job)
{
	char path[128];

	assert_int_equal(mkdir(root_path(job->path), 0755), 0);
	snprintf(path, sizeof path, "%s/good", job->path);
	assert_int_equal(link(shared_file(NULL)->path, root_path(path)), 0);
}

/* The URL, where {NAME} of a later case is the relay "NAME-later". */
static void make_url(const struct job *job, char *to, size_t size)
{
	char text[512] = "", filled[512];
	size_t len = 0;

	for (const char *at = job->row->url; *at; at++) {
		if (*at == '}' && job->moment == LATER && job->row->needs_tls)
			len += (size_t)snprintf(text + len, sizeof text - len, "-later");
		if (*at == '@')
			len += (size_t)snprintf(text + len, sizeof text - len, "%s", job->path);
		else
			text[len++] = *at;
	}
	world_fill(&world, text, filled, sizeof filled);
	snprintf(to, size, "%s", filled);
}

static void job_place(struct job *job)
{
	const char *name = strrchr(job->path, '/') + 1;
	char place[sizeof job->place];

	if (job->row->subject == BUCKET && job->door == DOOR_MOUNT)
		snprintf(place, sizeof place, "%s/%.5s", world.bucket.point, job->path);
	else if (job->row->subject == BUCKET)
		snprintf(place, sizeof place, "s3://bucket/%s", job->path);
	else if (job->door == DOOR_MOUNT && is_file(job->row))
		snprintf(place, sizeof place, "%s%s", world.files.point, job->path);
	else if (job->door == DOOR_MOUNT && job->row->url)
		snprintf(place, sizeof place, "%s/%s", world.manifest.point, name);
	else if (job->door == DOOR_MOUNT)
		snprintf(place, sizeof place, "%s%s", world.web.point, job->path);
	else if (job->row->url)
		make_url(job, place, sizeof place);
	else
		snprintf(place, sizeof place, "%s%s", server_url(&world.origin, job->path + 1),
			job->row->subject == INDEX ? "/" : "");
	strcpy(job->place, place);
}

static void job_make(struct job *job, size_t number)
{
	static const char *const doors[] = {"mount", "map", "ls"};
	const char *directory = job->row->subject == INDEX ? "lists"
				: job->row->bare           ? "bare"
							   : doors[job->door];
	char letter = "ol"[job->moment];

	if (job->row->subject == BUCKET)
		snprintf(job->path, sizeof job->path, "%03zu%c%c/", number, doors[job->door][0],
			letter);
	else if (job->row->subject == INDEX)
		snprintf(job->path, sizeof job->path, "/lists/%03zu%c%c", number,
			doors[job->door][0], letter);
	else
		snprintf(job->path, sizeof job->path, "/%s/%03zu-%c", directory, number, letter);
	job->fd = -1;
	if (job->row->subject == OBJECT)
		make_object(job);
	else if (job->row->subject == INDEX)
		make_directory(job);
	else
		make_right_page(job);
	if (has_page(job->row))
		make_page(job);
	job_place(job);
}

static void add_row(const struct hostile *row, size_t number)
{
	for (int moment = 0; moment < MOMENTS; moment++)
		for (int door = 0; door < DOORS; door++) {
			struct job *job = &jobs[job_count];

			if (!is_case(row, moment, door))
				continue;
			assert_true(job_count++ < JOBS_MAX);
			*job = (struct job){.row = row, .moment = moment, .door = door};
			job_make(job, number);
		}
}

static void add_jobs(void)
{
	size_t number = 0;

	for (size_t t = 0; t < array_len(tables); t++)
		for (size_t i = 0; i < *tables[t].count; i++, number++)
			if (is_wanted(&tables[t].rows[i]))
				add_row(&tables[t].rows[i], number);
}

/* ---- what the mounts show ----------------------------------------------------------------- */

static void write_manifest(const char *path)
{
	FILE *file = file_create(path);
	char url[512];

	for (size_t i = 0; i < job_count; i++) {
		if (!jobs[i].row->url || is_file(jobs[i].row) || jobs[i].door != DOOR_MOUNT)
			continue;
		make_url(&jobs[i], url, sizeof url);
		fprintf(file, "{\"path\": \"%s\", \"url\": \"%s\", \"size\": %ju}\n",
			strrchr(jobs[i].path, '/') + 1, url, (uintmax_t)row_size(jobs[i].row));
	}
	fclose(file);
}

static void write_bare_page(void)
{
	FILE *file = file_create(root_path("/pages/bare"));

	fputs("<html><title>Index of /bare/</title><body>\n", file);
	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].row->bare)
			fprintf(file, "<a href=\"%1$s\">%1$s</a><br>\n",
				strrchr(jobs[i].path, '/') + 1);
	fputs("</body></html>\n", file);
	fclose(file);
}

static void write_bucket_page(void)
{
	FILE *file = file_create(root_path("/pages/root"));

	fputs(XML_HEAD "<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>", file);
	for (size_t i = 0; i < job_count; i++)
		if (jobs[i].row->subject == BUCKET)
			fprintf(file, "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>",
				jobs[i].path);
	fputs("</ListBucketResult>", file);
	fclose(file);
}

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
	char manifest[96], source[128], options[96];

	snprintf(manifest, sizeof manifest, "%s/list.jsonl", world.base);
	write_manifest(manifest);
	write_bare_page();
	write_bucket_page();
	set_script(MOMENTS);
	set_environment();
	snprintf(options, sizeof options, "timeout=%dms,metadata-ttl=1s,negative-ttl=0s",
		TIMEOUT_MS);
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
	for (int door = 0; door < DOORS; door++) {
		unsigned counts[MOMENTS] = {0};

		for (size_t i = 0; i < job_count; i++)
			counts[jobs[i].moment] += (int)jobs[i].door == door &&
						  !jobs[i].row->undetected;
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
	map_options.netrc_file = world.netrc;
	add_jobs();
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
