/*
 * doctor.h - how the parts of `pagein doctor` report: a line for each fact, and below it how to
 * mend what is not as it should be. For doctor*.c only; main thread.
 */
#pragma once

#include <stdbool.h>

enum verdict {
	VERDICT_OK,
	VERDICT_WARN, /* works, but not all of it, or not for everybody */
	VERDICT_FAIL, /* a door stays shut */
};

struct doctor {
	bool mount_works;
	bool map_works;
	/* this process */
	bool is_root;
	bool has_sys_admin; /* CAP_SYS_ADMIN */
	bool has_seccomp;   /* a filter says which system calls there are */
	bool in_container;
};

void doctor_say(enum verdict verdict, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void doctor_fix(const char *format, ...) __attribute__((format(printf, 1, 2)));

void doctor_check_uffd(struct doctor *doctor);
void doctor_check_fuse(struct doctor *doctor);
void doctor_check_http(void);
