/*
 * served.h - one object on a fake server, and a source that asks for it: what the tests of answers
 * and of gets share. One at a time.
 */
#pragma once

#include "fake.h"
#include "source_fixture.h"

#define OBJECT "0123456789abcdef"
#define ETAG "\"etag-1\""

extern struct fake fake;
extern struct client client;
extern char directory[64]; /* of the test; removed by stop() */

/* For cmocka: before and after each test. */
int start(void **state);
int stop(void **state);

/* The object, to HEAD and to ranges, as S3 serves it. */
void serve_object(const struct fake_request *request, struct fake_answer *ret);
void refuse(struct fake_answer *ret, unsigned status, const char *body);

/* The object, for the fake server to answer with. */
void answer_object(struct fake *self, const struct fake_request *request, struct fake_answer *ret);
/* Only to who signs for eu-west-9; the context is how others are told: "redirect", ... */
void answer_by_region(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret);
/* Only to sessions from this number on: the context, an int. */
void answer_by_session(
	struct fake *self, const struct fake_request *request, struct fake_answer *ret);

/* The client has sessions from here on, by a program, a new one each time: "session-1", ... */
void use_sessions(void);
