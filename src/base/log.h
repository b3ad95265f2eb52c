/*
 * log.h - one line per fact, to one handler.
 *
 * A line reads "operation: object: reason"; it is written once, where the fact is known, and never
 * holds a secret. The default handler writes "pagein: <line>" to stderr for LOG_WARNING and above.
 * Any thread may log; the handler must be set before threads start.
 */
#pragma once

#include <stdarg.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

typedef void log_handler(enum log_level level, const char *line, void *context);

/* handler NULL: back to the default one. */
void log_set_handler(log_handler *handler, void *context);

/* Lines below this level are dropped before they are formatted; LOG_WARNING at start. */
void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
