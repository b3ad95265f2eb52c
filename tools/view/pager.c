/*
 * pager.c - keys become moves, searches and prompts; what is there is drawn.
 *
 * Main thread, which waits for nothing but keys and the descriptor by which the thread of pages.c
 * and a search's tell that something has changed. Each turn settles the position with what is
 * there, draws, and asks for what is missing.
 */
#include "pager.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choose.h"
#include "goto.h"
#include "keys.h"
#include "opening.h"
#include "pagein.h"
#include "position.h"
#include "prompt.h"
#include "screen.h"
#include "search.h"
#include "status.h"

#define MARKS 128
#define NO_MARK UINT64_MAX
#define NUMBER_MAX 1000000000000000

struct pager {
	const struct opened *opened;
	int changed_fd;
	struct pages *pages;
	struct position position;
	struct row row;
	uint64_t number; /* typed before a key */
	bool has_number;
	struct prompt prompt;
	uint64_t marks[MARKS];
	char message[STATUS_MAX]; /* in place of the status line, until the next key */
	/* searching */
	struct search *search; /* NULL: none runs */
	enum needle_kind needle_kind;
	char needle_text[PROMPT_MAX]; /* of the last one, "" if there was none */
	enum needle_kind last_kind;
	bool is_backward;             /* the last search, as it was typed */
	bool was_backward;            /* the running one */
	uint64_t match, match_length; /* length 0: none */
	uint64_t failed_at; /* where the last search met a page that is not to be had; 0: nowhere */
};

__attribute__((format(printf, 2, 3))) static void say(struct pager *pager, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(pager->message, sizeof pager->message, format, arguments);
	va_end(arguments);
}

/* ---- drawing -------------------------------------------------------------------------------- */

static void bar_draw(struct pager *pager)
{
	static unsigned char cells[COLUMNS_MAX];
	unsigned count = screen_columns();
	uint64_t size = pager->position.size, top = pager->position.top;

	top = size > 0 && top >= size ? size - 1 : top;
	pages_bar(pager->pages, cells, count);
	screen_bar(cells, count, size > 0 ? (unsigned)((unsigned __int128)top * count / size) : 0);
}

static void status_draw(struct pager *pager)
{
	const char *slash = strrchr(pager->opened->source, '/');
	struct status status = {
		.name = slash && slash[1] ? slash + 1 : pager->opened->source,
		.version = pagein_version(pager->opened->object),
		.offset = pager->position.top,
		.end = pager->position.bottom,
		.size = pager->position.size,
		.line = pager->position.is_hex ? 0 : position_line(&pager->position),
	};
	char words[STATUS_MAX];

	pages_news(pager->pages, &status.news);
	screen_status(status_print(&status, screen_columns() - 1, words), false);
}

static void prompt_draw(const struct pager *pager)
{
	static const char *const words[] = {[PROMPT_GOTO] = "go to: ",
		[PROMPT_SEARCH] = "/",
		[PROMPT_SEARCH_BACK] = "?",
		[PROMPT_MARK] = "set mark: ",
		[PROMPT_MARK_GO] = "go to mark: "};
	enum prompt_kind kind = pager->prompt.kind;
	bool is_search = kind == PROMPT_SEARCH || kind == PROMPT_SEARCH_BACK;
	char line[STATUS_MAX];

	snprintf(line, sizeof line, "%s%s%s%s", words[kind],
		is_search ? needle_kind_name(pager->needle_kind) : "", is_search ? ": " : "",
		pager->prompt.text);
	screen_status(line, true);
}

static void last_line_draw(struct pager *pager)
{
	struct search_news news;

	if (pager->prompt.kind != PROMPT_NONE) {
		prompt_draw(pager);
	} else if (pager->search) {
		search_news(pager->search, &news);
		say(pager, "searching at 0x%llx, %u%% (Ctrl-C stops)", (unsigned long long)news.at,
			(unsigned)((unsigned __int128)news.at * 100 / (pager->position.size | 1)));
		screen_status(pager->message, false);
	} else if (*pager->message) {
		screen_status(pager->message, false);
	} else {
		status_draw(pager);
	}
}

static void pager_draw(struct pager *pager)
{
	struct position *position = &pager->position;
	unsigned y = 0;
	bool is_row = true;
	uint64_t at;

	position_settle(position);
	at = position->top;
	while (y < position->rows && is_row) {
		is_row = position_row(position, &at, &pager->row);
		if (is_row || pager->row.count > 0)
			screen_row(y++, &pager->row, pager->match, pager->match_length);
	}
	position->bottom = at;
	position_want(position);
	if (position->size == 0)
		screen_words(y++, "(empty)", false);
	screen_clear_from(y);
	bar_draw(pager);
	last_line_draw(pager);
	screen_show();
}

/* ---- jumps ---------------------------------------------------------------------------------- */

static void jump(struct pager *pager, uint64_t at)
{
	pager->marks['\''] = pager->position.top;
	position_go(&pager->position, at);
}

static void line_jump(struct pager *pager, uint64_t number)
{
	uint64_t from, skip;

	if (lines_find(&pager->position.lines, number, &from, &skip) < 0) {
		say(pager, "line %llu is not known: only those up to %llu are, by what was read",
			(unsigned long long)number,
			(unsigned long long)pager->position.lines.newlines + 1);
		return;
	}
	pager->marks['\''] = pager->position.top;
	position_go_line(&pager->position, from, skip);
}

static void mark_jump(struct pager *pager, unsigned key)
{
	if (key >= MARKS || pager->marks[key] == NO_MARK)
		say(pager, "no such mark");
	else
		jump(pager, pager->marks[key]);
}

static void place_jump(struct pager *pager, const char *place)
{
	enum place_kind kind;
	uint64_t value;
	const char *reason = goto_parse(
		place, pager->position.top, pager->position.size, &kind, &value);

	if (reason)
		say(pager, "'%s' %s", place, reason);
	else if (kind == PLACE_LINE)
		line_jump(pager, value);
	else if (kind == PLACE_MARK)
		mark_jump(pager, (unsigned)value);
	else
		jump(pager, value);
}

/* ---- searches ------------------------------------------------------------------------------- */

/* The match, if it is on the screen, is not found again. */
static uint64_t search_from(const struct pager *pager, bool is_backward)
{
	const struct position *position = &pager->position;
	bool is_seen = pager->match_length > 0 && pager->match >= position->top &&
		       pager->match < position->bottom;

	if (pager->failed_at > 0)
		return is_backward ? pager->failed_at : pager->failed_at + PAGE_BYTES;
	if (is_seen)
		return is_backward ? pager->match : pager->match + 1;
	return position->top;
}

static void search_end(struct pager *pager)
{
	search_destroy(pager->search);
	pager->search = NULL;
}

static void search_begin(struct pager *pager, bool is_backward)
{
	struct needle needle;
	const char *reason;

	search_end(pager);
	if (!*pager->needle_text) {
		say(pager, "nothing to search for");
		return;
	}
	reason = needle_compile(pager->last_kind, pager->needle_text, &needle);
	if (reason)
		say(pager, "%s: %s", pager->needle_text, reason);
	else if (search_start(pager->pages, pager->position.size, &needle,
			 search_from(pager, is_backward), is_backward, pager->changed_fd,
			 &pager->search) < 0)
		say(pager, "search: no memory");
	pager->was_backward = is_backward;
}

static void search_look(struct pager *pager)
{
	struct search_news news;

	if (!pager->search)
		return;
	search_news(pager->search, &news);
	if (news.state == SEARCH_RUNNING)
		return;
	search_end(pager);
	*pager->message = '\0';
	pager->failed_at = 0;
	if (news.state == SEARCH_MISSED) {
		say(pager, "not found %s", pager->was_backward ? "before this" : "behind this");
	} else if (news.state == SEARCH_FAILED) {
		pager->failed_at = news.at;
		say(pager, "unreadable at 0x%llx: %s; n goes on behind it",
			(unsigned long long)news.at, news.reason);
	} else {
		pager->match = news.at;
		pager->match_length = news.length ? news.length : 1;
		if (news.at < pager->position.top || news.at >= pager->position.bottom)
			jump(pager, news.at);
	}
}

static void search_done(struct pager *pager)
{
	if (*pager->prompt.text) {
		strcpy(pager->needle_text, pager->prompt.text);
		pager->last_kind = pager->needle_kind;
	}
	pager->failed_at = 0;
	pager->is_backward = pager->prompt.kind == PROMPT_SEARCH_BACK;
	search_begin(pager, pager->is_backward);
}

/* ---- prompts -------------------------------------------------------------------------------- */

static void prompt_pressed(struct pager *pager, int key)
{
	enum prompt_kind kind = pager->prompt.kind;
	enum prompt_result result;

	if (kind == PROMPT_MARK || kind == PROMPT_MARK_GO) {
		pager->prompt.kind = PROMPT_NONE;
		if (kind == PROMPT_MARK_GO)
			mark_jump(pager, (unsigned)key);
		else if (key < MARKS && isalnum(key))
			pager->marks[key] = pager->position.top;
		else
			say(pager, "a mark is a letter or a digit");
		return;
	}
	if (key == '\t' && kind != PROMPT_GOTO) {
		pager->needle_kind = (pager->needle_kind + 1) % NEEDLE_KINDS;
		return;
	}
	result = prompt_key(&pager->prompt, key);
	if (result == PROMPT_GOES_ON)
		return;
	if (result == PROMPT_DONE && kind == PROMPT_GOTO)
		place_jump(pager, pager->prompt.text);
	else if (result == PROMPT_DONE)
		search_done(pager);
	pager->prompt.kind = PROMPT_NONE;
}

/* ---- commands ------------------------------------------------------------------------------- */

static void look_change(struct pager *pager, bool is_hex)
{
	pager->position.is_hex = is_hex;
	pager->position.style.left = 0;
	position_go(&pager->position, pager->position.top);
}

static void shift(struct pager *pager, int64_t columns)
{
	int64_t left = (int64_t)pager->position.style.left + columns;

	if (pager->position.style.is_folded)
		say(pager, "lines are folded: S cuts them");
	else
		pager->position.style.left = left < 0           ? 0
					     : left > INT32_MAX ? INT32_MAX
								: (unsigned)left;
}

static void info_say(struct pager *pager)
{
	struct pages_news news;
	char fetched[16];

	pages_news(pager->pages, &news);
	say(pager, "%s  %s  %llu-%llu of %llu  %s  %llu requests  %s fetched  %.1f ms",
		pager->opened->source, pagein_version(pager->opened->object),
		(unsigned long long)pager->position.top, (unsigned long long)pager->position.bottom,
		(unsigned long long)pager->position.size, pager->position.is_hex ? "hex" : "text",
		(unsigned long long)news.requests, status_bytes(news.bytes_fetched, fetched),
		(double)news.latency_ns / 1e6);
}

static void percent_jump(struct pager *pager, uint64_t percent)
{
	percent = percent > 100 ? 100 : percent;
	jump(pager, (uint64_t)((unsigned __int128)pager->position.size * percent / 100));
}

/* Those that go somewhere. True: it was one of them. */
static bool jump_command(struct pager *pager, enum command command, uint64_t number)
{
	switch (command) {
	case COMMAND_HOME:
	case COMMAND_END:
		if (pager->has_number)
			line_jump(pager, number);
		else
			jump(pager, command == COMMAND_HOME ? 0 : pager->position.size);
		return true;
	case COMMAND_PERCENT:
		percent_jump(pager, number);
		return true;
	case COMMAND_OFFSET:
		jump(pager, number);
		return true;
	case COMMAND_GOTO:
		prompt_begin(&pager->prompt, PROMPT_GOTO);
		return true;
	case COMMAND_MARK:
		prompt_begin(&pager->prompt, PROMPT_MARK);
		return true;
	case COMMAND_MARK_GO:
		prompt_begin(&pager->prompt, PROMPT_MARK_GO);
		return true;
	case COMMAND_SEARCH:
		prompt_begin(&pager->prompt, PROMPT_SEARCH);
		return true;
	case COMMAND_SEARCH_BACK:
		prompt_begin(&pager->prompt, PROMPT_SEARCH_BACK);
		return true;
	case COMMAND_AGAIN:
		search_begin(pager, pager->is_backward);
		return true;
	case COMMAND_AGAIN_BACK:
		search_begin(pager, !pager->is_backward);
		return true;
	default:
		return false;
	}
}

static bool move_command(struct pager *pager, enum command command, uint64_t number)
{
	struct position *position = &pager->position;
	int64_t times = pager->has_number ? (int64_t)number : 1, rows = position->rows;

	times = times > 10000 ? 10000 : times;
	switch (command) {
	case COMMAND_DOWN:
		position_move(position, times);
		return true;
	case COMMAND_UP:
		position_move(position, -times);
		return true;
	case COMMAND_PAGE_DOWN:
		position_move(position, times * rows);
		return true;
	case COMMAND_PAGE_UP:
		position_move(position, -times * rows);
		return true;
	case COMMAND_HALF_DOWN:
		position_move(position, times * ((rows + 1) / 2));
		return true;
	case COMMAND_HALF_UP:
		position_move(position, -times * ((rows + 1) / 2));
		return true;
	default:
		return false;
	}
}

static void look_command(struct pager *pager, enum command command)
{
	struct position *position = &pager->position;

	switch (command) {
	case COMMAND_HEX:
		look_change(pager, !position->is_hex);
		break;
	case COMMAND_FOLD:
		position->style.is_folded = !position->style.is_folded;
		look_change(pager, position->is_hex);
		break;
	case COMMAND_LEFT:
		shift(pager, -(int64_t)(position->style.columns / 2));
		break;
	case COMMAND_RIGHT:
		shift(pager, position->style.columns / 2);
		break;
	case COMMAND_RETRY:
		pages_retry(pager->pages);
		/* A line may begin before what had failed. */
		position_go(position, position->top);
		break;
	case COMMAND_REDRAW:
		screen_redraw();
		break;
	case COMMAND_INFO:
		info_say(pager);
		break;
	case COMMAND_HELP:
		help_show(pager->changed_fd);
		break;
	default:
		say(pager, "no such key; h lists them");
	}
}

static void key_pressed(struct pager *pager, int key)
{
	enum command command = key_command(key);
	uint64_t number = pager->number;

	*pager->message = '\0';
	if (isdigit(key) && key < 0x80) {
		pager->number = number * 10 + (uint64_t)(key - '0');
		pager->number = pager->number < NUMBER_MAX ? pager->number : NUMBER_MAX;
		pager->has_number = true;
		say(pager, "%llu", (unsigned long long)pager->number);
		return;
	}
	if (!jump_command(pager, command, number) && !move_command(pager, command, number))
		look_command(pager, command);
	pager->number = 0;
	pager->has_number = false;
}

static void interrupted(struct pager *pager)
{
	*pager->message = '\0';
	if (pager->search)
		say(pager, "search stopped");
	else if (pager->prompt.kind == PROMPT_NONE)
		say(pager, "q quits");
	search_end(pager);
	prompt_begin(&pager->prompt, PROMPT_NONE);
	pager->number = 0;
	pager->has_number = false;
}

/* False: *ret is how it ends. */
static bool event_handle(struct pager *pager, int event, enum pager_end *ret)
{
	enum command command = event > 0 ? key_command(event) : COMMAND_NONE;

	if (event == SCREEN_GONE) {
		*ret = PAGER_GONE;
		return false;
	}
	if (event == SCREEN_INTERRUPT) {
		interrupted(pager);
	} else if (event == SCREEN_RESIZED) {
		position_shape(&pager->position, screen_columns(), screen_rows());
	} else if (event == SCREEN_CHANGED) {
		search_look(pager);
	} else if (pager->prompt.kind != PROMPT_NONE) {
		prompt_pressed(pager, event);
	} else if (command == COMMAND_QUIT || command == COMMAND_QUIT_ALL) {
		*ret = command == COMMAND_QUIT ? PAGER_QUIT : PAGER_QUIT_ALL;
		return false;
	} else {
		key_pressed(pager, event);
	}
	return true;
}

enum pager_end pager_run(const struct opened *opened, int changed_fd, struct pager_look *look)
{
	struct pager *pager = calloc(1, sizeof *pager);
	enum pager_end end = PAGER_FAILED;

	if (!pager || pages_start(opened->map, opened->source, changed_fd, &pager->pages) < 0) {
		free(pager);
		return end;
	}
	pager->opened = opened;
	pager->changed_fd = changed_fd;
	memset(pager->marks, 0xff, sizeof pager->marks);
	position_init(&pager->position, pager->pages, pagein_size(opened->object));
	pager->position.is_hex = look->is_hex;
	pager->position.style.is_folded = !look->is_cut;
	pager->position.style.is_utf8 = screen_is_utf8();
	position_shape(&pager->position, screen_columns(), screen_rows());
	if (look->place)
		place_jump(pager, look->place);
	look->place = NULL;
	do
		pager_draw(pager);
	while (event_handle(pager, screen_wait(changed_fd), &end));
	look->is_hex = pager->position.is_hex;
	look->is_cut = !pager->position.style.is_folded;
	search_end(pager);
	pages_stop(pager->pages);
	free(pager);
	return end;
}
