/*
 * jobs.h - the table's cases as jobs, and what the origin serves for them. The test's own thread.
 */
#pragma once

#include "run.h"

#define JOBS_MAX 2048

extern struct world world;
extern struct job jobs[JOBS_MAX];
extern size_t job_count;

/* What the row says of this moment and door. */
const struct expected *expectation(const struct hostile *row, enum moment moment, enum door door);

/* Does its URL say file:? */
bool is_file(const struct hostile *row);

/* Below the origin's root; good until the next call but one. */
const char *root_path(const char *path);

/* Where a row with a URL is, for this job. */
void make_url(const struct job *job, char *to, size_t size);

/*
 * A job for each case of each table, with its object or directory; rows that have HOSTILE's text in
 * their name, if that is set. maps: maps are possible here.
 */
void add_jobs(bool maps);

/* ---- served.c ------------------------------------------------------------------------------ */

/* The page that a job's directory has by its row; and the one that it has when all is right. */
void make_page(const struct job *job);
void make_right_page(const struct job *job);
/* The directories that list all jobs of a kind; the manifest. */
void make_common_pages(void);
void write_manifest(const char *path);

/*
 * The rules of all jobs of the moment hold from now on, with what holds always. MOMENTS: none does,
 * the world is right.
 */
void set_script(enum moment moment);
