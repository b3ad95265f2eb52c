/*
 * jobs.c - turns rows into jobs: which cases there are, and an object or a directory for each.
 *
 * An object is another link to a shared file, so that a thousand of them cost nothing; a copy, if
 * something will be done to it. Names are numbers of rows: /mount/012-o is row 12, met at open.
 */
#include "jobs.h"

#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "shared.h"

static const struct table {
	const struct hostile *rows;
	const size_t *count;
} tables[] = {
#define X(name) {name, &name##_count},
	TABLES(X)
#undef X
};

struct world world;
struct job jobs[JOBS_MAX];
size_t job_count;
static bool has_maps;

/* ---- which cases -------------------------------------------------------------------------- */

const struct expected *expectation(const struct hostile *row, enum moment moment, enum door door)
{
	const struct expected *all = moment == AT_OPEN ? &row->at_open : &row->later;
	const struct expected *own = moment == AT_OPEN ? &row->map_at_open : &row->map_later;

	return door != DOOR_MOUNT && own->is_case ? own : all;
}

static bool is_case(const struct hostile *row, enum moment moment, enum door door)
{
	bool is_object = row->subject == OBJECT;

	if ((door == DOOR_MAP && (!is_object || row->bare || row->no_map || !has_maps)) ||
		(door == DOOR_LS && (is_object || moment == LATER)) ||
		(door == DOOR_MOUNT && row->only_ls))
		return false;
	if ((row->needs_tls && !world.relay_ports[0]) || (row->needs_dns && !world.has_names))
		return false;
	return expectation(row, moment, door)->is_case;
}

bool is_file(const struct hostile *row)
{
	return row->url && strncmp(row->url, "file:", 5) == 0;
}

static bool is_wanted(const struct hostile *row)
{
	const char *text = getenv("HOSTILE");

	return !text || strstr(row->name, text);
}

/* ---- objects and directories -------------------------------------------------------------- */

const char *root_path(const char *path)
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
void make_url(const struct job *job, char *to, size_t size)
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
	if (job->row->page || job->row->write_page)
		make_page(job);
	job_place(job);
}

static void add_row(const struct hostile *row, size_t number)
{
	for (unsigned moment = 0; moment < MOMENTS; moment++)
		for (unsigned door = 0; door < DOORS; door++) {
			struct job *job = &jobs[job_count];

			if (!is_case(row, moment, door))
				continue;
			assert_true(job_count++ < JOBS_MAX);
			*job = (struct job){.row = row, .moment = moment, .door = door};
			job_make(job, number);
		}
}

void add_jobs(bool maps)
{
	size_t number = 0;

	has_maps = maps;
	for (size_t t = 0; t < array_len(tables); t++)
		for (size_t i = 0; i < *tables[t].count; i++, number++)
			if (is_wanted(&tables[t].rows[i]))
				add_row(&tables[t].rows[i], number);
}
