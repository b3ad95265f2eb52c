/*
 * served.c - what the origin serves: the rules of each job, and the pages that no server would
 * make.
 *
 * A rule's text stands in the table without its path; here it becomes a line of the script. The
 * first lines are the same in all scripts.
 */
#include "jobs.h"

#include "check.h"
#include "cleanup.h"

#define RULES_MAX ((size_t)128 << 10) /* of a row: there are ETags of 64 KB */

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
void set_script(enum moment moment)
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

/* ---- pages -------------------------------------------------------------------------------- */

void make_page(const struct job *job)
{
	FILE *file = file_create(root_path(page_path(job)));

	if (job->row->page)
		put_text(file, job->row->page, job->path);
	else
		job->row->write_page(file, job->path);
	fclose(file);
}

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>bucket</Name>"

void make_right_page(const struct job *job)
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

void write_manifest(const char *path)
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

void make_common_pages(void)
{
	write_bare_page();
	write_bucket_page();
}
