/*
 * log.c - formats a line into a buffer on the stack and gives it to the handler: no lock, no
 * malloc, no stdio, so that a loop may log. Lines are cut at LINE_MAX_BYTES. Control characters
 * from the outside world (a server's reason phrase, a file name) are shown as '?', so that a line
 * stays a line.
 */
#include "log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

/* The context is there before its handler is. */
static _Atomic(log_handler *) log_current_handler;
static void *_Atomic log_current_context;
static _Atomic enum log_level log_level_min = LOG_WARNING;

void log_set_handler(log_handler *handler, void *context)
{
	log_current_context = context;
	log_current_handler = handler;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level_min, level, memory_order_relaxed);
}

static void log_to_stderr(const char *line)
{
	char out[LINE_MAX_BYTES + 16];
	int len = snprintf(out, sizeof out, "pagein: %s\n", line);

	/* Nothing can be done about a log that can't be written. */
	if (len > 0 && write(STDERR_FILENO, out, (size_t)len) < 0)
		return;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	log_handler *handler;
	va_list arguments;

	if (level < atomic_load_explicit(&log_level_min, memory_order_relaxed))
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	handler = log_current_handler;
	if (handler)
		handler(level, line, log_current_context);
	else
		log_to_stderr(line);
}
