/*
 * fail_wrap.h - how a wrapper is written: class, type, name, parameters, arguments, what it returns
 * when it fails, and the errors it may have.
 */
#pragma once

#include <errno.h>

#include "check.h"
#include "fail.h"

#define FAIL_NOW(class, name, ...)                        \
	fail_now(class, name, (const int[]){__VA_ARGS__}, \
		sizeof((const int[]){__VA_ARGS__}) / sizeof(int), __builtin_return_address(0))

/* Sets errno. */
#define WRAP(class, type, name, parameters, arguments, failure, ...) \
	type __real_##name parameters;                               \
	type __wrap_##name parameters;                               \
	type __wrap_##name parameters                                \
	{                                                            \
		int error = FAIL_NOW(class, #name, __VA_ARGS__);     \
                                                                     \
		if (error == 0)                                      \
			return __real_##name arguments;              \
		errno = error;                                       \
		return failure;                                      \
	}

/* Returns the error. */
#define WRAP_CODE(class, type, name, parameters, arguments, ...)           \
	type __real_##name parameters;                                     \
	type __wrap_##name parameters;                                     \
	type __wrap_##name parameters                                      \
	{                                                                  \
		int error = FAIL_NOW(class, #name, __VA_ARGS__);           \
                                                                           \
		return error == 0 ? __real_##name arguments : (type)error; \
	}
