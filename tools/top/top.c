/*
 * top.c - `pagein top DIR|PID|SOCKET`: the figures of a mount or of a process with libpagein, now
 * and again.
 *
 * Main thread. On a terminal the screen is drawn anew at each interval, until q or a signal; else,
 * or with --once, the totals are printed once. The terminal is given back as it was.
 *
 * Rejected: curses, for two escape sequences.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "commands.h"
#include "options.h"
#include "place.h"
#include "view.h"

#define DRAW_ANEW "\033[H\033[J"

struct screen {
	bool keys; /* they are read one by one */
	struct termios before;
	int signals;
};

static int complain(const char *words)
{
	fprintf(stderr, "pagein top: %s\n", words);
	return EXIT_FAILURE;
}

/* ---- the terminal ------------------------------------------------------------------------- */

static void screen_open(struct screen *screen)
{
	struct termios keys;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	screen->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	screen->keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &screen->before) == 0;
	if (!screen->keys)
		return;
	keys = screen->before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &keys);
}

static void screen_close(struct screen *screen)
{
	if (screen->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
	close_fd(&screen->signals);
}

/* false: that was all. */
static bool screen_wait(const struct screen *screen, uint64_t until_ns)
{
	struct pollfd polls[] = {
		{screen->signals, POLLIN, 0}, {screen->keys ? STDIN_FILENO : -1, POLLIN, 0}};
	uint64_t now_ns;
	char key;

	while ((now_ns = clock_now_ns()) < until_ns) {
		if (poll(polls, 2, (int)((until_ns - now_ns) / NS_PER_MS) + 1) <= 0)
			continue;
		if (polls[0].revents)
			return false;
		/* The terminal may have gone, too. */
		if (polls[1].revents && (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
			return false;
	}
	return true;
}

static void screen_size(struct view *view)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 3)
		return;
	view->width = size.ws_col;
	view->height = size.ws_row - 2u;
}

static void screen_draw(const char *operand, struct view *view)
{
	time_t now = time(NULL);
	char text[32] = "";
	struct tm parts;

	screen_size(view);
	if (localtime_r(&now, &parts))
		strftime(text, sizeof text, "%H:%M:%S", &parts);
	printf(DRAW_ANEW "pagein top %.100s  %s  (q ends)\n", operand, text);
	view_print(view, stdout);
	fflush(stdout);
}

/* ---- the command -------------------------------------------------------------------------- */

static struct view view_of(const struct options *options)
{
	return (struct view){
		.price_request = options->price_request, .price_gb = options->price_gb};
}

static int print_once(const struct options *options, const struct top_place *place)
{
	struct samples now cleanup(samples_finish) = {0};
	struct view view = view_of(options);
	char error[TOP_ERROR_MAX];

	if (top_place_read(place, options->timeout_ns, &now, error) < 0)
		return complain(error);
	view.now = &now;
	view_print(&view, stdout);
	return EXIT_SUCCESS;
}

/* Until somebody has seen enough: 0; or there is nothing to be seen any more. */
static int watch(const struct options *options, const struct top_place *place,
	const struct screen *screen, char error[TOP_ERROR_MAX])
{
	struct samples before cleanup(samples_finish) = {0};
	uint64_t before_ns = 0;
	int err;

	for (;;) {
		struct samples now cleanup(samples_finish) = {0};
		struct view view = view_of(options);
		uint64_t now_ns;

		err = top_place_read(place, options->timeout_ns, &now, error);
		now_ns = clock_now_ns();
		if (err < 0)
			return err;
		view.now = &now;
		view.before = before_ns ? &before : NULL;
		view.seconds = (double)(now_ns - before_ns) / (double)NS_PER_S;
		screen_draw(options->operands[0], &view);
		samples_finish(&before);
		before = now;
		now = (struct samples){0};
		before_ns = now_ns;
		if (!screen_wait(screen, now_ns + options->interval_ns))
			return 0;
	}
}

int command_top(const struct options *options)
{
	struct top_place place;
	struct screen screen = {.signals = -1};
	char error[TOP_ERROR_MAX];
	int err = top_place_find(options->operands[0], &place, error);

	if (err < 0)
		return complain(error);
	if (options->once || !isatty(STDOUT_FILENO))
		return print_once(options, &place);
	screen_open(&screen);
	err = watch(options, &place, &screen, error);
	screen_close(&screen);
	return err < 0 ? complain(error) : EXIT_SUCCESS;
}
