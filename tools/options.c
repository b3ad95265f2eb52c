/*
 * options.c - from a command line to a struct options, by the rows of options_table.c.
 *
 * Main thread only; keeps nothing. Each option is set as it is met, over defaults which were set by
 * the same function from the same table, so that a default is nothing a user could not write.
 *
 * getopt_long(3) was tried on paper and rejected: its messages have another form, it keeps state in
 * globals, and the rows would have to be copied into two tables of its own on every call. Options
 * are spelled in full here; an abbreviation that works today would be ambiguous tomorrow.
 */
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "log.h"
#include "option_value.h"
#include "options_table.h"

/* Options which mount(8) and fstab(5) have for every file system. */
static const struct {
	const char *name;
	bool passed; /* to mount(2); the others speak to mount(8), or ask for what is so anyway */
} mount_words[] = {
	{"ro", false},
	{"defaults", false},
	{"auto", false},
	{"noauto", false},
	{"nofail", false},
	{"_netdev", false},
	{"user", false},
	{"nouser", false},
	{"users", false},
	{"nousers", false},
	{"owner", false},
	{"noowner", false},
	{"group", false},
	{"nogroup", false},
	{"async", false},
	{"exec", false},
	{"relatime", false},
	{"norelatime", false},
	{"atime", false},
	{"diratime", false},
	{"loud", false},
	{"silent", false},
	{"nosuid", true},
	{"nodev", true},
	{"noexec", true},
	{"sync", true},
	{"noatime", true},
	{"nodiratime", true},
};

struct command_line {
	enum subcommand subcommand;
	int argc;
	char **argv;
	int at;
	struct options *ret;
};

__attribute__((format(printf, 2, 3))) static int complain(
	enum subcommand subcommand, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "pagein %s: ", subcommand_rows[subcommand].name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return -EINVAL;
}

/* One name or, for OPTION_CHOICES, names joined by commas; fills the bits of their indices. */
static bool choices_read(const struct option_row *row, const char *text, unsigned *ret_bits)
{
	*ret_bits = 0;
	do {
		size_t length = strcspn(text, ",");
		unsigned i = 0;

		while (row->choices[i] && (strlen(row->choices[i]) != length ||
						  memcmp(row->choices[i], text, length)))
			i++;
		if (!row->choices[i])
			return false;
		*ret_bits |= 1u << i;
		text += length;
	} while (*text++ == ',' && row->type == OPTION_CHOICES);
	return !text[-1];
}

static const char *number_read(const struct option_row *row, const char *text, uint64_t *ret)
{
	if (row->type == OPTION_SIZE)
		return value_size(text, ret);
	if (row->type == OPTION_DURATION)
		return value_duration(text, ret);
	if (row->type == OPTION_DECIMAL)
		return value_decimal(text, ret);
	if (row->type == OPTION_MODE)
		return value_mode(text, ret);
	if (row->type == OPTION_ID)
		return value_id(text, ret);
	return value_uint(text, ret);
}

/* prefix and the row's name are how the user wrote it: "--memory", "-o memory". */
static int choice_set(const struct command_line *line, const char *prefix,
	const struct option_row *row, const char *text, unsigned *ret)
{
	char names[OPTION_CHOICES_ROOM];
	unsigned bits;

	if (!choices_read(row, text, &bits))
		return complain(line->subcommand, "%s%s: '%s' is not among %s", prefix, row->name,
			text, option_choices(row, names));
	*ret = row->type == OPTION_CHOICES ? bits : (unsigned)__builtin_ctz(bits);
	return 0;
}

static int number_set(const struct command_line *line, const char *prefix,
	const struct option_row *row, const char *text, uint64_t *ret)
{
	static const char *const units[] = {[OPTION_SIZE] = " bytes", [OPTION_DURATION] = " ns"};
	const char *unit = row->type <= OPTION_DURATION && units[row->type] ? units[row->type] : "";
	const char *reason = number_read(row, text, ret);

	if (reason)
		return complain(line->subcommand, "%s%s: '%s' %s", prefix, row->name, text, reason);
	if (*ret < row->min)
		return complain(line->subcommand, "%s%s: '%s' is too small; at least %ju%s", prefix,
			row->name, text, (uintmax_t)row->min, unit);
	if (*ret > row->max && !(row->type == OPTION_ID && *ret == ID_SELF))
		return complain(line->subcommand, "%s%s: '%s' is too large; at most %ju%s", prefix,
			row->name, text, (uintmax_t)row->max, unit);
	return 0;
}

static int value_set(const struct command_line *line, const char *prefix,
	const struct option_row *row, const char *text)
{
	void *field = (char *)line->ret + row->field;
	const char *reason;

	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_STRING:
		*(const char **)field = text;
		return 0;
	case OPTION_CHOICE:
	case OPTION_CHOICES:
		return choice_set(line, prefix, row, text, field);
	case OPTION_RANGE:
		reason = value_range(text, field);
		if (reason)
			return complain(
				line->subcommand, "%s%s: '%s' %s", prefix, row->name, text, reason);
		return 0;
	case OPTION_UINT:
	case OPTION_MODE:
	case OPTION_DECIMAL:
	case OPTION_ID:
	case OPTION_SIZE:
	case OPTION_DURATION:
		break;
	}
	return number_set(line, prefix, row, text, field);
}

/* fstab(5) is full of allow_other, command lines of --allow-other: both are right in both. */
static bool name_equal(const char *name, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!name[i] || (text[i] == '_' ? '-' : text[i]) != name[i])
			return false;
	return !name[length];
}

static const struct option_row *row_find(
	enum subcommand subcommand, const char *text, size_t length, bool in_o)
{
	for (size_t i = 0; i < option_row_count; i++)
		if (option_taken(&option_rows[i], subcommand) && (!in_o || option_rows[i].in_o) &&
			name_equal(option_rows[i].name, text, length))
			return &option_rows[i];
	return NULL;
}

/* A word that is no option of ours. */
static int mount_word(const struct command_line *line, const char *word)
{
	char *to = line->ret->mount_options;
	size_t i = 0;

	if (!strcmp(word, "rw"))
		return complain(line->subcommand, "-o rw: a mount of pagein is read-only");
	if (!strncmp(word, "x-", 2) || !strncmp(word, "X-", 2) || !strncmp(word, "comment=", 8) ||
		!strncmp(word, "user=", 5))
		return 0;
	while (i < sizeof(mount_words) / sizeof(mount_words[0]) &&
		strcmp(mount_words[i].name, word))
		i++;
	if (i == sizeof(mount_words) / sizeof(mount_words[0]))
		return complain(line->subcommand, "-o %s: no such option; see pagein %s --help",
			word, subcommand_rows[line->subcommand].name);
	/* No word is part of another, nor of two, so that this finds words only. */
	if (mount_words[i].passed && !strstr(to, word)) {
		assert(strlen(to) + strlen(word) + 2 <= sizeof(line->ret->mount_options));
		if (*to)
			strcat(to, ",");
		strcat(to, word);
	}
	return 0;
}

static int mount_style_parse(const struct command_line *line, char *text)
{
	char *word;
	int result = 0;

	while (!result && (word = strsep(&text, ","))) {
		char *value = strchrnul(word, '=');
		const struct option_row *row = row_find(
			line->subcommand, word, (size_t)(value - word), true);

		if (!*word)
			continue;
		if (!row)
			result = mount_word(line, word);
		else if (row->type == OPTION_FLAG && *value)
			result = complain(line->subcommand, "-o %s: takes no value", row->name);
		else if (row->type != OPTION_FLAG && !*value)
			result = complain(line->subcommand, "-o %s: write %s=%s", row->name,
				row->name, row->argument);
		else
			result = value_set(line, "-o ", row, *value ? value + 1 : NULL);
	}
	return result;
}

static int long_parse(struct command_line *line)
{
	char *name = line->argv[line->at] + 2;
	char *value = strchrnul(name, '=');
	size_t length = (size_t)(value - name);
	const struct option_row *row = row_find(line->subcommand, name, length, false);

	if (!row)
		return complain(line->subcommand, "--%.*s: no such option; see pagein %s --help",
			(int)length, name, subcommand_rows[line->subcommand].name);
	if (row->type == OPTION_FLAG && *value)
		return complain(line->subcommand, "--%s: takes no value", row->name);
	if (row->type != OPTION_FLAG && !*value && line->at + 1 == line->argc)
		return complain(line->subcommand, "--%s: write --%s=%s", row->name, row->name,
			row->argument);
	if (row->type == OPTION_FLAG)
		value = NULL;
	else
		value = *value ? value + 1 : line->argv[++line->at];
	return value_set(line, "--", row, value);
}

/* "-f", "-fh", "-o WORDS", "-oWORDS": no letter but o has an argument. */
static int letters_parse(struct command_line *line)
{
	for (char *letter = line->argv[line->at] + 1; *letter; letter++) {
		size_t i = 0;

		if (*letter == 'o' && line->subcommand == SUBCOMMAND_MOUNT) {
			if (!letter[1] && line->at + 1 == line->argc)
				return complain(line->subcommand, "-o: write -o NAME=VALUE,...");
			return mount_style_parse(
				line, letter[1] ? letter + 1 : line->argv[++line->at]);
		}
		while (i < option_row_count &&
			!(option_rows[i].letter == *letter &&
				option_taken(&option_rows[i], line->subcommand)))
			i++;
		if (i == option_row_count)
			return complain(line->subcommand,
				"-%c: no such option; see pagein %s --help", *letter,
				subcommand_rows[line->subcommand].name);
		assert(option_rows[i].type == OPTION_FLAG);
		value_set(line, "-", &option_rows[i], NULL);
	}
	return 0;
}

static int operands_check(enum subcommand subcommand, const struct options *options)
{
	const char *name = subcommand_rows[subcommand].name;
	size_t max = subcommand_rows[subcommand].operands_max;

	if (options->operand_count > max)
		return complain(subcommand, "'%s' is one operand too many; see pagein %s --help",
			options->operands[max], name);
	if (options->operand_count < subcommand_rows[subcommand].operands_min)
		return complain(subcommand, "write pagein %s %s", name,
			subcommand_rows[subcommand].operands);
	return 0;
}

static void defaults_set(const struct command_line *line)
{
	*line->ret = (struct options){.operands = line->argv + !!line->argc};
	for (size_t i = 0; i < option_row_count; i++) {
		int result = option_rows[i].value
				     ? value_set(line, "--", &option_rows[i], option_rows[i].value)
				     : 0;

		assert(!result);
	}
}

int options_parse(enum subcommand subcommand, int argc, char **argv, struct options *ret)
{
	struct command_line line = {subcommand, argc, argv, 1, ret};
	bool only_operands = false;

	defaults_set(&line);
	for (; line.at < argc; line.at++) {
		char *argument = argv[line.at];
		int result = 0;

		if (only_operands || argument[0] != '-' || !argument[1])
			ret->operands[ret->operand_count++] = argument;
		else if (!strcmp(argument, "--"))
			only_operands = true;
		else
			result = argument[1] == '-' ? long_parse(&line) : letters_parse(&line);
		if (result || ret->help || ret->version)
			return result;
	}
	if (ret->debug) {
		ret->foreground = true;
		ret->log_level = LOG_DEBUG;
	}
	return operands_check(subcommand, ret);
}
