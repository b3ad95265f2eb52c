/*
 * door.h - the pagein command and its mounts, as people use them. The test's own thread only: what
 * goes wrong fails the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct door {
	const char *command;
	char directory[64]; /* to mount on */
	bool mounted;
	size_t printed; /* bytes by the last run, which may have NULs in them */
};

/*
 * Makes the directory; the command must live until door_close(), and finds S3 on this port of
 * 127.0.0.1 (AWS_ENDPOINT_URL).
 */
void door_open(struct door *door, const char *command, uint16_t port);
/* Unmounts what a failed test has left. */
void door_close(struct door *door);

/* Its exit status; what it prints to stdout and stderr is in text. */
int __attribute__((format(printf, 4, 5)))
door_run(struct door *door, char *text, size_t room, const char *format, ...);
/* Fails the test if the status is another one, or the words are not printed. */
void door_expect(struct door *door, int status, const char *words, const char *arguments);

/* options: "-o ..." or "". Skips the test where nobody can mount. */
void door_mount(struct door *door, const char *options, const char *source);
void door_unmount(struct door *door);

/* A path in the mount; good until the next call. */
const char *door_path(const struct door *door, const char *name);
/* The file has these bytes and no more. */
void door_expect_file(const struct door *door, const char *name, const void *bytes, size_t size);
