/*
 * s3_fetch.c - runs the steps of a plan's origin, and then one for each role; programs and
 * containers are here, too.
 *
 *    static -------------------------------------------------+
 *    process (a program) ------------------------------------+
 *    container (GET) ----------------------------------------+-> assume, for each role -> done
 *    SSO: renewal (POST), if need be -> keys (GET) ----------+
 *    instance: token (PUT) -> role's name (GET) -> keys (GET)-+   (POST, signed with the keys
 *    web identity (POST, unsigned) --------------------------+    that there are by then)
 *
 * On the loop's thread; owned by s3_provider.c. Invariant: one thing is under way at a time: a
 * call, a process, or the timer. Each has a deadline, and attempts are counted, so a fetch ends.
 *
 * Redirects are not followed: credentials are asked for where the configuration says.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backoff.h"
#include "cleanup.h"
#include "clock.h"
#include "s3_fetch_private.h"
#include "text.h"
#include "words.h"

#define CONTAINER_ATTEMPTS 3 /* as botocore, and so is the pause */
#define CONTAINER_PAUSE_MS 1000

int64_t fetch_now_s(const struct s3_fetch *self)
{
	return (int64_t)time(NULL) + self->clock_offset_s;
}

int fetch_complain(struct s3_fetch *self, int err, const char *format, ...)
{
	int len = snprintf(self->error, SOURCE_ERROR_MAX, "credentials: %s%s: ",
		self->plan.is_last_resort ? "none in the environment nor in the profile; " : "",
		self->plan.name ? self->plan.name : "");
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(self->error + len, SOURCE_ERROR_MAX - (size_t)len, format, arguments);
	va_end(arguments);
	self->err = err;
	return err;
}

/* ---- from step to step --------------------------------------------------------------------- */

static void step_run(struct s3_fetch *self);

static void fetch_end(struct s3_fetch *self, int err)
{
	if (err == 0 && self->credentials->expires_s <= fetch_now_s(self))
		err = fetch_complain(self, -EACCES, "these have expired already");
	if (err == -ENOMEM)
		fetch_complain(self, err, "out of memory");
	else if (err < 0 && self->plan.is_last_resort)
		/* There is no such place, or it has none: there are none. */
		err = -EACCES;
	if (err < 0) {
		s3_credentials_destroy(self->credentials);
		self->credentials = NULL;
	}
	self->done(self, err);
}

static void fetch_timer_expired(struct loop_timer *timer)
{
	step_run(container_of(timer, struct s3_fetch, timer));
}

static void step_retry(struct s3_fetch *self)
{
	const struct s3_fetch_step *step = self->step;
	uint64_t pause_ms = step->pause_ms;

	if (++self->attempts >= (step->attempts > 0 ? step->attempts : self->plan.attempts)) {
		fetch_end(self, self->err);
		return;
	}
	if (pause_ms == 0 && step->attempts > 0)
		pause_ms = backoff_ms(self->attempts, &self->random);
	self->timer.expired = fetch_timer_expired;
	loop_timer_set(self->loop, &self->timer, clock_now_ns() + pause_ms * NS_PER_MS);
}

static void step_go_on(struct s3_fetch *self)
{
	self->attempts = 0;
	self->is_corrected = false;
	self->step = self->step ? self->step->next : NULL;
	if (!self->step && self->roles < self->plan.roles_count)
		self->step = &step_assume;
	if (self->step)
		step_run(self);
	else
		fetch_end(self, 0);
}

static void step_end(struct s3_fetch *self, int result)
{
	if (result == 0)
		step_go_on(self);
	else if (result == FETCH_AGAIN)
		step_retry(self);
	else if (result == FETCH_NOW)
		step_run(self);
	else
		fetch_end(self, result);
}

static void step_run(struct s3_fetch *self)
{
	int err = self->step->start(self);

	if (err < 0)
		fetch_end(self, err);
}

static void call_done(struct s3_call *call, CURLcode result)
{
	struct s3_fetch *self = container_of(call, struct s3_fetch, call);
	const struct s3_fetch_step *step = self->step;

	if (result == CURLE_OK) {
		step_end(self, step->answer(self));
		return;
	}
	if (result == CURLE_WRITE_ERROR) {
		step_end(self, fetch_complain(self, -EPROTO, "%s: too long", step->name));
		return;
	}
	fetch_complain(
		self, curl_errno(result).err, "%s: %s", step->name, curl_easy_strerror(result));
	step_end(self, step->silence ? step->silence(self, result) : FETCH_AGAIN);
}

int fetch_call(struct s3_fetch *self, const struct s3_call_options *options)
{
	self->call.done = call_done;
	return s3_call_start(&self->call, self->client, options);
}

static int json_take(struct s3_fetch *self, const char *text, size_t len, enum s3_json kind)
{
	const char *reason = "";
	int err = s3_credentials_from_json(text, len, kind, &self->credentials, &reason);

	return err == -EPROTO ? fetch_complain(self, err, "%s: %s", self->step->name, reason) : err;
}

int fetch_take_json(struct s3_fetch *self, enum s3_json kind)
{
	int err = json_take(self, self->call.answer, self->call.answer_len, kind);

	return err == -EPROTO ? FETCH_AGAIN : err;
}

/* ---- a program ----------------------------------------------------------------------------- */

static void process_done(struct s3_process *process, int err)
{
	struct s3_fetch *self = container_of(process, struct s3_fetch, process);

	if (err < 0)
		fetch_complain(self, err, "%s", process->reason);
	else
		err = json_take(self, process->text, process->len, S3_JSON_PROCESS);
	s3_process_finish(process);
	step_end(self, err);
}

static int process_start(struct s3_fetch *self)
{
	cleanup(words_finish) struct words words = {0};
	int err = words_split(self->plan.process, &words);

	if (err == -EINVAL || (err == 0 && words.count == 0))
		return fetch_complain(self, -EINVAL, "a quote without its end, or nothing at all");
	self->process.done = process_done;
	if (err == 0)
		err = s3_process_start(
			&self->process, self->loop, words.list, S3_PROCESS_TIMEOUT_S * 1000);
	if (err < 0 && err != -ENOMEM)
		return fetch_complain(self, -EACCES, "can't be run: %s", strerror(-err));
	return err;
}

static const struct s3_fetch_step step_process = {.name = "output", .start = process_start};

/* ---- a container's endpoint ---------------------------------------------------------------- */

static int container_start(struct s3_fetch *self)
{
	const char *token = self->plan.authorization;
	cleanup(secret_free_at) char *headers = NULL;

	if (text_print(&headers, "Accept: application/json\r\n%s%s%s",
		    token ? "Authorization: " : "", token ? token : "", token ? "\r\n" : "") < 0)
		return -ENOMEM;
	return fetch_call(self, &(struct s3_call_options){.method = "GET",
					.url = self->plan.url,
					.headers = headers,
					.timeout_ms = self->plan.timeout_ms,
					.ca_bundle = self->config->ca_bundle,
					.is_local = strncmp(self->plan.url, "http:", 5) == 0});
}

static int container_answer(struct s3_fetch *self)
{
	if (self->call.status != 200) {
		fetch_complain(self, -EIO, "HTTP %u", self->call.status);
		return FETCH_AGAIN;
	}
	return fetch_take_json(self, S3_JSON_CONTAINER);
}

static const struct s3_fetch_step step_container = {
	.name = "answer",
	.start = container_start,
	.answer = container_answer,
	.attempts = CONTAINER_ATTEMPTS,
	.pause_ms = CONTAINER_PAUSE_MS,
};

/* ---- the door ------------------------------------------------------------------------------ */

static void fetch_begin(struct loop_timer *timer)
{
	static const struct s3_fetch_step *const first[] = {
		[S3_ORIGIN_STATIC] = NULL,
		[S3_ORIGIN_WEB_IDENTITY] = &step_web_identity,
		[S3_ORIGIN_PROCESS] = &step_process,
		[S3_ORIGIN_CONTAINER] = &step_container,
		[S3_ORIGIN_SSO] = &step_sso,
		[S3_ORIGIN_INSTANCE] = &step_instance_token,
	};
	struct s3_fetch *self = container_of(timer, struct s3_fetch, timer);
	int err = s3_plan_make(self->config, &self->plan, self->error);

	if (err < 0) {
		self->done(self, err);
		return;
	}
	self->credentials = steal_pointer(&self->plan.credentials);
	self->step = first[self->plan.origin];
	if (self->step)
		step_run(self);
	else
		step_go_on(self);
}

void s3_fetch_start(struct s3_fetch *self)
{
	s3_fetch_finish(self);
	self->random = clock_now_ns() | 1;
	self->timer.expired = fetch_begin;
	loop_timer_set(self->loop, &self->timer, clock_now_ns());
}

void s3_fetch_finish(struct s3_fetch *self)
{
	s3_call_finish(&self->call);
	s3_process_finish(&self->process);
	if (self->loop)
		loop_timer_cancel(self->loop, &self->timer);
	s3_credentials_destroy(self->credentials);
	secret_free(self->token);
	free(self->role_name);
	s3_plan_finish(&self->plan);
	*self = (struct s3_fetch){
		.loop = self->loop,
		.client = self->client,
		.config = self->config,
		.clock_offset_s = self->clock_offset_s,
		.done = self->done,
	};
}
