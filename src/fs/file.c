/*
 * file.c - reads.
 *
 * On the loop of the file's shard, but for the three calls of file.h, which run on the main loop
 * and hand over what another shard shall do. What is handed over is done in the order of handing:
 * a file is made before its first read and closed after its last.
 *
 * A read waits until its whole range is present, and is never answered short but at the end of the
 * file: the kernel would take that for the end. What has been answered is in the kernel's page
 * cache, so that our copy is dropped at once and its buffer is the next to be filled. F1: pages
 * that another read still waits for are not dropped by this one.
 *
 * What has failed is not fetched again for a moment: see failed.h.
 *
 * Cost of a read whose bytes are here: one writev(2) out of the blocks; of one that waits: a
 * request from the free list, and whatever the core does; of one of another shard's file: a malloc
 * and, if that shard sleeps, a wake-up.
 *
 * Rejected: splicing (two more system calls a reply, and pages that we can't reuse); a lock on each
 * object, so that any loop may serve any read (a fault would take it five times, and a loop that
 * reads the device would still have to wake the one whose connection brings the bytes).
 */
#include "file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "figures.h"
#include "fs_private.h"
#include "hash_list.h"
#include "log.h"
#include "object.h"
#include "probe.h"
#include "trace.h"
#include "url.h"

#define READ_IOV_MAX (READ_BYTES_MAX / BLOCK_BYTES + 1)

/* ---- beginning and end -------------------------------------------------------------------- */

static void opened_free(struct probe *opened)
{
	if (!opened)
		return;
	hash_list_put(opened->version.hashes);
	free((char *)opened->effective_url);
	free((void *)opened->bytes);
	free(opened);
}

static void file_free(struct file *file)
{
	object_destroy(file->object);
	opened_free(file->opened);
	free(file);
}

static void file_free_if_unused(struct file *file)
{
	if (file->closed && list_empty(&file->reads))
		file_free(file);
}

/* Before a reader is told, if there is one: who opens the file anew because of that must find it
 * known. */
static void file_went_stale(void *context)
{
	struct file *file = context;

	atomic_store(&file->stale, true);
	atomic_store(&file->shard->fs->stale_found, true);
}

static void file_run_open(struct loop_task *task)
{
	struct file *file = container_of(task, struct file, open_task);
	int err = object_open(file->shard->core, file->opened, OBJECT_KEEPS, &file->object);

	opened_free(steal_pointer(&file->opened));
	if (err < 0)
		log_warning("open: %s", strerror(-err));
	else
		object_set_stale_told(file->object, file_went_stale, file);
}

static void file_run_close(struct loop_task *task)
{
	struct file *file = container_of(task, struct file, close_task);

	file->closed = true;
	file_free_if_unused(file);
}

/* What the probe has found, for a loop that comes to it later. */
static struct probe *opened_copy(const struct probe *probe)
{
	struct probe *copy = calloc(1, sizeof *copy);
	char *url = strdup(probe->effective_url);
	void *bytes = probe->bytes_len ? malloc(probe->bytes_len) : NULL;

	if (!copy || !url) {
		free(copy);
		free(url);
		free(bytes);
		return NULL;
	}
	copy->effective_url = url;
	copy->version = probe->version;
	hash_list_take(copy->version.hashes);
	if (bytes) {
		memcpy(bytes, probe->bytes, probe->bytes_len);
		copy->bytes = bytes;
		copy->bytes_len = probe->bytes_len;
	}
	return copy;
}

static struct shard *shard_choose(struct fs *fs)
{
	struct shard *best = &fs->shards[0];

	for (unsigned i = 1; i < fs->shard_count; i++)
		if (fs->shards[i].files < best->files)
			best = &fs->shards[i];
	return best;
}

/* Now, or soon on the shard's own loop. */
static void shard_run(struct shard *shard, struct loop_task *task)
{
	if (loop_is_here(shard->loop))
		task->run(task);
	else
		loop_post(shard->loop, task);
}

int file_open(struct fs *fs, const struct probe *probe, struct file **ret)
{
	/* All cores of a mount verify alike. A reader may begin anywhere. */
	const char *refusal = object_refusal(
		fs->shards[0].core, &probe->version, OBJECT_KEEPS, false);
	struct file *file;

	if (refusal) {
		log_warning("open: %s: %s", url_tell(probe->url).text, refusal);
		return -ENOTSUP;
	}
	file = calloc(1, sizeof *file);
	if (!file)
		return -ENOMEM;
	file->opened = opened_copy(probe);
	if (!file->opened) {
		free(file);
		return -ENOMEM;
	}
	file->shard = shard_choose(fs);
	file->shard->files++;
	file->size = probe->version.size;
	file->open_task.run = file_run_open;
	file->close_task.run = file_run_close;
	list_init(&file->reads);
	shard_run(file->shard, &file->open_task);
	*ret = file;
	return 0;
}

void file_close(struct file *file)
{
	if (!file)
		return;
	file->shard->files--;
	shard_run(file->shard, &file->close_task);
}

/* ---- figures ------------------------------------------------------------------------------ */

void shard_add_figures(const struct shard *shard, struct figures *to)
{
	to->values[FIGURE_READS] += shard->counts.reads;
	to->values[FIGURE_READ_HITS] += shard->counts.hits;
	to->values[FIGURE_READ_FAILURES] += shard->counts.failures;
	to->values[FIGURE_READ_BYTES] += shard->counts.bytes;
	spread_add(&to->spreads[SPREAD_WAIT], &shard->counts.wait);
	core_add_figures(shard->core, to);
}

/* It has been answered: this time costs its reader nothing. */
static void file_count_answer(struct file *file, struct range range)
{
	file->shard->counts.bytes += range_length(range);
	object_count_use(file->object, 1, range_length(range));
}

/* ---- answers ------------------------------------------------------------------------------ */

/* The pages that hold range; the file's last one may be short. */
static struct range pages_of(struct range range, uint64_t size)
{
	struct range pages = {align_down(range.start, PAGE_BYTES), align_up(range.end, PAGE_BYTES)};

	return range_intersect(pages, (struct range){0, size});
}

static bool others_wait_for(const struct file *file, struct range range)
{
	list_for_each (node, &file->reads)
		if (range_overlaps(list_entry(node, struct request, read.node)->read.range, range))
			return true;
	return false;
}

static void reply_read(fuse_req_t fuse, struct object *object, struct range range)
{
	struct iovec iov[READ_IOV_MAX];
	size_t count;

	assert(object_iov_max(range) <= READ_IOV_MAX);
	count = object_iov(object, range, iov);
	fuse_reply_iov(fuse, iov, (int)count);
	STAGE_PROBE(fill, range.start, range_length(range), object_remote(object));
}

/* The kernel has these pages now. */
static void file_drop(struct file *file, struct range range)
{
	if (!others_wait_for(file, range)) /* F1 */
		object_drop(file->object, range);
}

/* Takes the read out of all lists; it is answered or about to be. */
static void read_over(struct request *request)
{
	struct file *file = request->read.file;

	object_remove_want(file->object, &request->read.want);
	list_remove(&request->read.node);
	request_destroy(request);
	file_free_if_unused(file);
}

static void read_answer(struct request *request)
{
	struct file *file = request->read.file;
	struct range range = request->read.range;

	list_remove(&request->read.node);
	reply_read(request->fuse, file->object, range);
	file_count_answer(file, range);
	spread_record(&file->shard->counts.wait, clock_now_ns() - request->started_ns);
	file_drop(file, range);
	read_over(request);
}

static void read_fail(struct request *request, int err)
{
	request->read.file->shard->counts.failures++;
	fuse_reply_err(request->fuse, -err);
	read_over(request);
}

/* ---- reading ------------------------------------------------------------------------------ */

static struct readahead_plan file_plan(struct file *file, struct range pages, bool absent)
{
	struct readahead_conditions conditions = object_conditions(file->object);

	conditions.absent = absent;
	return readahead_plan(object_readahead(file->object), pages, &conditions);
}

/* What fails here is told to the read that needs it. */
static void file_fetch_ahead(struct object *object, const struct readahead_plan *plan)
{
	if (range_empty(plan->ahead))
		return;
	for (uint64_t i = 0; i < plan->pieces; i++)
		(void)object_fetch(object, readahead_piece(plan, i), 0, plan->chunk_bytes);
}

/* What is planned behind the pages of a read that needs nothing more. */
static void file_read_ahead(
	struct file *file, struct range pages, const struct readahead_plan *plan)
{
	struct object *object = file->object;

	if (plan->first.end > pages.end)
		(void)object_fetch(
			object, (struct range){pages.end, plan->first.end}, 0, plan->chunk_bytes);
	file_fetch_ahead(object, plan);
}

static void read_arrived(struct want *want, const struct arrival *arrival)
{
	struct request *request = container_of(want, struct request, read.want);

	(void)arrival;
	if (!request->read.fetching && object_present(request->read.file->object, want->range))
		read_answer(request);
}

static void read_failed(struct want *want, struct range range, const struct failure *failure)
{
	struct request *request = container_of(want, struct request, read.want);

	(void)range;
	log_warning("%s", failure->error);
	/* That it has changed the object knows; memory may be there the next time. */
	if (failure->err != -ESTALE && failure->err != -ENOMEM)
		failed_note(&request->read.file->failed, want->range, failure->err, clock_now_ns());
	if (request->read.fetching)
		request->read.err = failure->err;
	else
		read_fail(request, failure->err);
}

static uint64_t read_late(struct want *want, uint64_t due_ns, const struct failure *failure)
{
	(void)due_ns;
	read_failed(want, want->range, failure);
	return 0;
}

/* Killed, or the mount is ending. */
static void read_resume(struct waiter *waiter, int err)
{
	assert(err < 0);
	read_fail(request_of(waiter), err);
}

static void read_watch(struct request *request)
{
	struct object *object = request->read.file->object;

	request_watch(request);
	object_begin_wait(object, &request->read.want, request->started_ns);
}

static void read_wait(struct request *request, struct file *file, struct range range)
{
	struct object *object = file->object;
	struct range pages = pages_of(range, file->size);
	struct readahead_plan plan = file_plan(file, pages, object_absent(object, pages));
	int err;

	request->read.file = file;
	request->read.range = range;
	request->read.err = 0;
	request->read.want = (struct want){
		.range = pages,
		.arrived = read_arrived,
		.failed = read_failed,
		.late = read_late,
	};
	list_append(&file->reads, &request->read.node);
	object_add_want(object, &request->read.want);
	request->read.fetching = true;
	err = object_fetch(object, plan.first, range_length(pages), plan.chunk_bytes);
	if (err == 0)
		file_fetch_ahead(object, &plan);
	request->read.fetching = false;
	if (err == 0)
		err = request->read.err;
	if (err < 0)
		read_fail(request, err);
	else if (object_present(object, pages))
		read_answer(request);
	else
		read_watch(request);
}

static void file_read_here(struct file *file, fuse_req_t fuse, struct range range)
{
	struct range pages = pages_of(range, file->size);
	struct readahead_plan plan;
	struct request *request;
	int err = 0;

	file->shard->counts.reads++;
	if (file->object) {
		STAGE_PROBE(event, range.start, range_length(range), object_remote(file->object));
		trace_access(file->object, range, fuse_req_ctx(fuse)->pid);
	}
	if (file->object && object_present(file->object, pages) &&
		object_integrity(file->object) != OBJECT_BAD) {
		reply_read(fuse, file->object, range);
		file->shard->counts.hits++;
		file_count_answer(file, range);
		file_drop(file, range);
		plan = file_plan(file, pages, false);
		file_read_ahead(file, pages, &plan);
		return;
	}
	if (file->failed.count > 0)
		err = failed_find(&file->failed, pages, clock_now_ns());
	if (err < 0) {
		file->shard->counts.failures++;
		fuse_reply_err(fuse, -err);
		return;
	}
	request = file->object ? request_create(&file->shard->requests, fuse, NULL, read_resume)
			       : NULL;
	if (request)
		read_wait(request, file, range);
	else {
		file->shard->counts.failures++;
		fuse_reply_err(fuse, ENOMEM);
	}
}

/* ---- handing over ------------------------------------------------------------------------- */

struct handover {
	struct loop_task task;
	struct file *file;
	fuse_req_t fuse;
	struct range range;
};

static struct handover *handover_create(
	struct file *file, fuse_req_t fuse, void (*run)(struct loop_task *task))
{
	struct handover *handover = malloc(sizeof *handover);

	if (handover)
		*handover = (struct handover){{.run = run}, file, fuse, {0, 0}};
	else
		fuse_reply_err(fuse, ENOMEM);
	return handover;
}

static void handover_run(struct loop_task *task)
{
	struct handover *handover = container_of(task, struct handover, task);

	file_read_here(handover->file, handover->fuse, handover->range);
	free(handover);
}

void file_read(struct file *file, fuse_req_t fuse, struct range range)
{
	struct handover *handover;

	if (loop_is_here(file->shard->loop)) {
		file_read_here(file, fuse, range);
		return;
	}
	handover = handover_create(file, fuse, handover_run);
	if (!handover)
		return;
	handover->range = range;
	loop_post(file->shard->loop, &handover->task);
}

static void resident_run(struct loop_task *task)
{
	struct handover *handover = container_of(task, struct handover, task);
	struct object *object = handover->file->object;
	uint64_t resident = object ? object_resident(object) : 0;
	char text[24];

	if (resident > handover->file->size)
		resident = handover->file->size;
	snprintf(text, sizeof text, "%ju", (uintmax_t)resident);
	fs_reply_xattr(handover->fuse, text, handover->range.end);
	free(handover);
}

void file_tell_resident(struct file *file, fuse_req_t fuse, size_t size)
{
	struct handover *handover = handover_create(file, fuse, resident_run);

	if (!handover)
		return;
	handover->range.end = size;
	shard_run(file->shard, &handover->task);
}
