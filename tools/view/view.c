/*
 * view.c - `pagein view SOURCE`: a pager that fetches what is looked at.
 *
 * Main thread. What is at SOURCE is found out before the terminal is touched: an error is a line on
 * stderr as of every subcommand, Ctrl-C ends the process as ever, and with --quit-if-one-screen
 * what fits is printed as cat would, but shown as the pager shows it. From there on the terminal is
 * the screen's, and whatever waits does so in other threads: opening.c, pages.c, search.c.
 *
 * One object is open at a time; from a directory one goes to another and back.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "choose.h"
#include "cleanup.h"
#include "commands.h"
#include "glance.h"
#include "log.h"
#include "opening.h"
#include "options.h"
#include "pagein.h"
#include "pager.h"
#include "remote.h"
#include "screen.h"
#include "service.h"

#define EXIT_USAGE 2

struct view {
	const struct options *options;
	int changed_fd;
	struct pager_look look;
	unsigned index;                        /* in the list of the directory */
	int status;                            /* of the process */
	char message[OPENED_REASON_MAX + 256]; /* why something could not be opened */
};

static void log_drop(enum log_level level, const char *line, void *context)
{
	/* What went wrong is shown where it is missed. */
	(void)level;
	(void)line;
	(void)context;
}

/* The source of the directory above, malloc'd; NULL: there is none, or no memory. */
static char *source_above(const char *source)
{
	const char *host = strstr(source, "://"), *path = strchr(source, '#');
	size_t end = strlen(source), root = path ? (size_t)(path - source) + 1 : end;

	if (host) {
		path = strchr(host + 3, '/');
		root = path ? (size_t)(path - source) + 1 : end;
	}
	if (end > root && source[end - 1] == '/')
		end--;
	while (end > root && source[end - 1] != '/')
		end--;
	return end >= root && end < strlen(source) ? strndup(source, end) : NULL;
}

/* -ECANCELED: the user has given up; -EPIPE: there is no terminal any more. */
static int open_waiting(struct view *view, const char *source, struct opened *ret)
{
	struct opening *opening;
	char words[512];
	int key, err = opening_start(source, view->options, view->changed_fd, &opening);

	if (err < 0)
		return err;
	for (;;) {
		snprintf(words, sizeof words, "opening %.400s (q gives up)", source);
		screen_status(words, false);
		screen_show();
		key = screen_wait(view->changed_fd);
		err = opening_result(opening, ret);
		if (err != -EINPROGRESS)
			return err;
		if (key == SCREEN_GONE || key == SCREEN_INTERRUPT || key == 'q' || key == 'Q') {
			opening_abandon(opening);
			return key == SCREEN_GONE ? -EPIPE : -ECANCELED;
		}
	}
}

/* Shows another source; a directory takes the place of *directory. False: all is over. */
static bool source_show(struct view *view, const char *source, struct opened *directory)
{
	struct opened opened = {.source = NULL};
	int err = open_waiting(view, source, &opened);
	enum pager_end end = PAGER_QUIT;

	if (err == 0 && opened.is_directory) {
		struct opened other = *directory;

		*directory = opened;
		opened = other;
		view->index = 0;
	} else if (err == 0) {
		end = pager_run(&opened, view->changed_fd, &view->look);
	} else if (err != -ECANCELED) {
		snprintf(view->message, sizeof view->message, "%.200s: %s", source,
			*opened.reason ? opened.reason : strerror(-err));
	}
	opened_finish(&opened);
	if (err == -EPIPE || end == PAGER_GONE || end == PAGER_FAILED)
		view->status = EXIT_FAILURE;
	return err != -EPIPE && end == PAGER_QUIT;
}

static int directory_show(struct view *view, struct opened *directory)
{
	bool goes_on = true;

	while (goes_on) {
		cleanup_free char *source = NULL;
		enum list_choice choice = list_choose(
			directory, view->changed_fd, view->message, &view->index);

		*view->message = '\0';
		if (choice == LIST_QUIT)
			return EXIT_SUCCESS;
		if (choice == LIST_GONE)
			return EXIT_FAILURE;
		source = choice == LIST_ABOVE ? source_above(directory->source)
					      : strdup(directory->names[view->index].source);
		if (source)
			goes_on = source_show(view, source, directory);
		else
			strcpy(view->message, "there is no directory above");
	}
	return view->status;
}

static int view_show(struct view *view, struct opened *opened)
{
	int status = EXIT_SUCCESS, err = screen_begin();

	if (err < 0)
		return place_complain("view", "the terminal", strerror(-err));
	if (opened->is_directory) {
		status = directory_show(view, opened);
	} else {
		enum pager_end end = pager_run(opened, view->changed_fd, &view->look);

		if (end == PAGER_FAILED || end == PAGER_GONE)
			status = EXIT_FAILURE;
	}
	screen_end();
	return status;
}

int command_view(const struct options *options)
{
	cleanup(opened_finish) struct opened opened = {.source = NULL};
	struct view view = {.options = options,
		.look = {.is_hex = options->hex, .is_cut = options->chop, .place = options->at}};
	cleanup_free char *source = NULL;
	cleanup_fd int changed_fd = -1;
	const char *refusal;

	if (options->operand_count == 0 || strcmp(options->operands[0], "-") == 0) {
		fprintf(stderr, "pagein view: standard input is a stream, of which no part can be "
				"fetched alone: name a SOURCE\n");
		return EXIT_USAGE;
	}
	refusal = screen_refusal();
	if (refusal)
		return place_complain("view", options->operands[0], refusal);
	setlocale(LC_CTYPE, "");
	log_set_handler(log_drop, NULL);
	source = strdup(options->operands[0]);
	changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!source || changed_fd < 0)
		return place_complain("view", options->operands[0], strerror(errno));
	service_hide_url(options->operands[0]);
	view.changed_fd = changed_fd;
	if (opened_open(&opened, source, options) < 0)
		return place_complain("view", source, opened.reason);
	if (options->quit_if_fits && !opened.is_directory && glance_print(&opened, &view.look))
		return EXIT_SUCCESS;
	return view_show(&view, &opened);
}
