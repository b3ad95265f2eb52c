/*
 * text.h - text put together in memory of its own. Pure; any thread.
 */
#pragma once

/*
 * What printf(3) would write, in *ret, which the caller frees. asprintf(3) leaves its pointer
 * undefined when it fails, and a local with a cleanup would free whatever that is; here it is NULL.
 *
 * 0; -ENOMEM.
 */
int text_print(char **ret, const char *format, ...) __attribute__((format(printf, 2, 3)));
