/*
 * screen.c - ncurses, and what must happen to a terminal whatever happens to us.
 *
 * Main thread. Keys are awaited in ppoll(2) together with the descriptor by which other threads
 * tell that something has changed; signals are blocked but there, and where they are let in before
 * each look, so that none is missed between a look and the wait. SIGWINCH and SIGTSTP have ncurses'
 * own handlers.
 *
 * That the terminal is gone is looked for before what has changed, and at each wait anew: getch(3)
 * does not tell it from a key that has not come, the changes of an object that is being fetched may
 * never end, and under nohup(1) no signal comes.
 *
 * A crash, in whatever thread: the handler gives the terminal back with what was prepared for that
 * (the attributes as they were, and terminfo's words to leave), by write(2) and tcsetattr(3) only,
 * and lets the signal do what it would have done. It is installed before pagein_guard() installs
 * its own, which passes on what is not its.
 *
 * Nothing is interpreted: what is drawn are cells of characters that text.c has let through.
 */
#include "screen.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#undef columns
#include <termios.h>
#include <unistd.h>

#include "pagein.h"

#define ESCAPE_MS 50    /* from ESC to the rest of a key's bytes */
#define FRUITLESS_MAX 8 /* times that a key seems to be there, and is not */

enum colour { COLOUR_RESIDENT = 1, COLOUR_COMING, COLOUR_FAILED };

static SCREEN *screen;
static FILE *keyboard; /* NULL: standard input */
static sigset_t mask_before;
static volatile sig_atomic_t ending; /* the signal */
static volatile sig_atomic_t is_interrupted;
static const int ends[] = {SIGTERM, SIGHUP, SIGINT};
static struct sigaction ends_before[sizeof(ends) / sizeof(*ends)];

/* For a crash. */
static struct termios termios_before;
static char leave[256];
static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT};
static struct sigaction actions_before[sizeof(crashes) / sizeof(*crashes)];

/* ---- signals -------------------------------------------------------------------------------- */

static void on_end(int number)
{
	ending = number;
}

static void on_interrupt(int number)
{
	(void)number;
	is_interrupted = 1;
}

static void on_crash(int number)
{
	int err = errno;

	(void)!write(STDOUT_FILENO, leave, strlen(leave));
	tcsetattr(STDOUT_FILENO, TCSADRAIN, &termios_before);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		if (crashes[i] == number)
			sigaction(number, &actions_before[i], NULL);
	/* Pending until this handler returns; a touch comes again by itself. */
	raise(number);
	errno = err;
}

static void signals_take(void)
{
	struct sigaction crash = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
	struct sigaction end = {.sa_handler = on_end};
	sigset_t mask;

	sigfillset(&crash.sa_mask);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		sigaction(crashes[i], &crash, &actions_before[i]);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		end.sa_handler = ends[i] == SIGINT ? on_interrupt : on_end;
		sigaction(ends[i], &end, &ends_before[i]);
		/* nohup(1) */
		if (ends[i] == SIGHUP && ends_before[i].sa_handler == SIG_IGN)
			sigaction(ends[i], &ends_before[i], NULL);
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGWINCH);
	sigaddset(&mask, SIGTSTP);
	pthread_sigmask(SIG_BLOCK, &mask, &mask_before);
}

/* ppoll(2) lets none in while a descriptor is ready. */
static void signals_let_in(void)
{
	sigset_t mask;

	pthread_sigmask(SIG_SETMASK, &mask_before, &mask);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
}

/* ---- the terminal --------------------------------------------------------------------------- */

const char *screen_refusal(void)
{
	static char words[128];
	const char *name = getenv("TERM");
	bool is_able;
	int status;

	if (!isatty(STDOUT_FILENO))
		return "standard output is no terminal: pagein cat writes to files and pipes";
	if (!name || !*name)
		return "TERM is not set: what terminal is this?";
	if (setupterm(NULL, STDOUT_FILENO, &status) == ERR) {
		snprintf(words, sizeof words, "TERM=%.40s: unknown terminal: pagein cat needs none",
			name);
		return words;
	}
	is_able = cursor_address && clr_eos;
	del_curterm(cur_term);
	if (is_able)
		return NULL;
	snprintf(words, sizeof words,
		"TERM=%.40s: this terminal can't move its cursor: pagein cat needs no such", name);
	return words;
}

static void leave_prepare(void)
{
	const char *const parts[] = {
		exit_attribute_mode, keypad_local, cursor_normal, exit_ca_mode};

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (parts[i] && strlen(leave) + strlen(parts[i]) < sizeof leave)
			strcat(leave, parts[i]);
}

static void colours_begin(void)
{
	const char *no = getenv("NO_COLOR");

	if ((no && *no) || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(COLOUR_RESIDENT, COLOR_GREEN, -1);
	init_pair(COLOUR_COMING, COLOR_YELLOW, -1);
	init_pair(COLOUR_FAILED, COLOR_RED, -1);
}

int screen_begin(void)
{
	if (screen)
		return 0;
	tcgetattr(STDOUT_FILENO, &termios_before);
	if (!isatty(STDIN_FILENO)) {
		keyboard = fopen("/dev/tty", "re");
		if (!keyboard)
			return -errno;
	}
	signals_take();
	set_escdelay(ESCAPE_MS);
	screen = newterm(NULL, stdout, keyboard ? keyboard : stdin);
	if (!screen)
		return -ENOTTY;
	leave_prepare();
	colours_begin();
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	atexit(screen_end);
	return 0;
}

void screen_end(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
	if (keyboard)
		fclose(keyboard);
	/* That it was a signal is for our parent to know; a hangup may be seen before its signal.
	 */
	signals_let_in();
	/* What is still to be closed may take its time: they end us from here on. */
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaction(ends[i], &ends_before[i], NULL);
	if (ending) {
		signal(ending, SIG_DFL);
		raise(ending);
	}
	pthread_sigmask(SIG_SETMASK, &mask_before, NULL);
}

unsigned screen_columns(void)
{
	return COLS < COLUMNS_MAX ? (unsigned)COLS : COLUMNS_MAX;
}

unsigned screen_rows(void)
{
	return LINES < 3 ? 1 : LINES - 2 < ROWS_MAX ? (unsigned)LINES - 2 : ROWS_MAX;
}

bool screen_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* ---- keys ----------------------------------------------------------------------------------- */

static bool is_drained(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof count) == sizeof count;
}

/* A hangup, which poll(2) tells unasked. */
static bool is_gone(int fd)
{
	struct pollfd look = {fd, 0, 0};

	return poll(&look, 1, 0) > 0;
}

int screen_wait(int changed_fd)
{
	int in = keyboard ? fileno(keyboard) : STDIN_FILENO;

	for (unsigned fruitless = 0;;) {
		struct pollfd fds[] = {{in, POLLIN, 0}, {changed_fd, POLLIN, 0}};
		int key;

		signals_let_in();
		key = getch();
		if (ending)
			return SCREEN_GONE;
		if (is_interrupted) {
			is_interrupted = 0;
			return SCREEN_INTERRUPT;
		}
		if (key == KEY_RESIZE)
			return SCREEN_RESIZED;
		if (key != ERR)
			return key == '\r' ? '\n' : key;
		/* EIO: of a terminal that is another's now, and nobody is left to stop us. */
		if (is_gone(in) || fruitless > FRUITLESS_MAX)
			return SCREEN_GONE;
		if (is_drained(changed_fd))
			return SCREEN_CHANGED;
		if (ppoll(fds, 2, NULL, &mask_before) > 0 && fds[0].revents)
			fruitless++;
	}
}

/* ---- drawing -------------------------------------------------------------------------------- */

static attr_t kind_attributes(enum cell_kind kind)
{
	static const attr_t attributes[] = {[CELL_PLAIN] = A_NORMAL,
		[CELL_ESCAPE] = A_BOLD,
		[CELL_FRAME] = A_DIM,
		[CELL_BAD] = A_BOLD};

	return attributes[kind];
}

static void row_draw(
	unsigned y, const struct row *row, attr_t attributes, uint64_t mark, uint64_t mark_length)
{
	unsigned x = 0;

	move((int)y, 0);
	clrtoeol();
	for (size_t i = 0; i < row->count; i++) {
		const struct cell *cell = &row->cells[i];
		bool is_marked = cell->kind <= CELL_ESCAPE && cell->at - mark < mark_length;
		cchar_t picture;

		setcchar(&picture, cell->text,
			attributes | kind_attributes(cell->kind) | (is_marked ? A_REVERSE : 0),
			cell->kind == CELL_BAD ? COLOUR_FAILED : 0, NULL);
		mvadd_wch((int)y, (int)x, &picture);
		x += cell->columns;
	}
}

void screen_row(unsigned y, const struct row *row, uint64_t mark, uint64_t mark_length)
{
	row_draw(y, row, A_NORMAL, mark, mark_length);
}

void screen_words(unsigned y, const char *words, bool is_marked)
{
	static struct row row;
	/* Not the last column: a terminal might scroll. */
	struct text_style style = {.columns = screen_columns() - 1, .is_utf8 = screen_is_utf8()};

	text_row(&style, (const uint8_t *)words, strlen(words), 0, &row);
	row_draw(y, &row, is_marked ? A_REVERSE : A_NORMAL, 0, 0);
	move((int)y, (int)row.columns);
}

void screen_clear_from(unsigned y)
{
	for (; y < screen_rows(); y++) {
		move((int)y, 0);
		clrtoeol();
	}
}

void screen_bar(const unsigned char *cells, unsigned count, unsigned here)
{
	static const struct {
		chtype look;
		short colour;
	} looks[] = {[PAGEIN_ABSENT] = {'.', 0},
		[PAGEIN_COMING] = {'~', COLOUR_COMING},
		[PAGEIN_RESIDENT] = {'#', COLOUR_RESIDENT},
		[PAGEIN_FAILED] = {'!', COLOUR_FAILED}};

	for (unsigned x = 0; x < count; x++)
		mvaddch(LINES - 2, (int)x,
			looks[cells[x]].look | (x == here ? A_REVERSE : A_NORMAL) |
				(chtype)COLOR_PAIR(looks[cells[x]].colour));
}

void screen_status(const char *words, bool is_prompt)
{
	screen_words((unsigned)LINES - 1, words, !is_prompt);
	curs_set(is_prompt ? 1 : 0);
}

void screen_show(void)
{
	refresh();
}

void screen_redraw(void)
{
	clearok(curscr, TRUE);
}
