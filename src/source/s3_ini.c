/*
 * s3_ini.c - a reader of INI files that agrees with Python's configparser, which is what botocore
 * reads profiles with, down to what is an error.
 *
 * Pure. An s3_ini is one copy of the text, in which names and values end where they are: secrets
 * are in one place, and are wiped there. Lines that go on a value are moved up to it in place,
 * which always fits, because a line break and an indent stood between. Linear but for finding
 * doubles, which is quadratic in the sections and in a section's names; both have a limit.
 *
 * The rules: a comment is a line whose first character but spaces is # or ;, so values may hold
 * both. A line that is indented deeper than its name goes on its value, and so does an empty one
 * (the value's end is trimmed). Names end at the first = or :, and are in lower case. Of a section
 * head, what stands behind the last ] is ignored.
 *
 * Rejected: libinih, which cuts values at 200 bytes (a session token has a thousand).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_profile.h"

#define SECTIONS_MAX 4096
#define NAMES_MAX 256 /* in one section */
#define DEFAULTS "DEFAULT"

struct ini_entry {
	const char *name;
	char *value;
};

struct ini_section {
	const char *name;
	struct ini_entry *entries;
	size_t count;
};

struct s3_ini {
	char *text;
	size_t len;
	struct ini_section *sections;
	size_t count;
};

/* Where the reader is. */
struct ini_reader {
	struct s3_ini *ini;
	unsigned line;               /* its number, from 1 */
	size_t indent;               /* of the newest name or section */
	struct ini_section *section; /* NULL: none yet */
	struct ini_entry *entry;     /* whose value may go on; NULL: none */
	char *value_end;             /* its NUL */
	unsigned entry_line;
	const char *reason; /* of an error */
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int complain(struct ini_reader *reader, const char *reason)
{
	reader->reason = reason;
	return -EINVAL;
}

static const struct ini_section *section_find(const struct s3_ini *ini, const char *name)
{
	for (size_t i = 0; i < ini->count; i++)
		if (strcmp(ini->sections[i].name, name) == 0)
			return &ini->sections[i];
	return NULL;
}

static char *entry_find(const struct ini_section *section, const char *name)
{
	for (size_t i = 0; section && i < section->count; i++)
		if (strcmp(section->entries[i].name, name) == 0)
			return section->entries[i].value;
	return NULL;
}

static int section_append(struct ini_reader *reader, const char *name)
{
	struct s3_ini *ini = reader->ini;
	struct ini_section *sections;

	if (ini->count == SECTIONS_MAX)
		return complain(reader, "too many sections");
	sections = reallocarray(ini->sections, ini->count + 1, sizeof *sections);
	if (!sections)
		return -ENOMEM;
	ini->sections = sections;
	reader->section = &sections[ini->count++];
	*reader->section = (struct ini_section){.name = name};
	return 0;
}

static int entry_append(struct ini_reader *reader, const char *name, char *value)
{
	struct ini_section *section = reader->section;
	struct ini_entry *entries;

	if (section->count == NAMES_MAX)
		return complain(reader, "too many names in one section");
	entries = reallocarray(section->entries, section->count + 1, sizeof *entries);
	if (!entries)
		return -ENOMEM;
	section->entries = entries;
	reader->entry = &entries[section->count++];
	*reader->entry = (struct ini_entry){name, value};
	return 0;
}

/* [name], from its bracket. */
static int section_read(struct ini_reader *reader, char *at)
{
	char *close = strrchr(at, ']');

	*close = '\0';
	reader->entry = NULL;
	if (section_find(reader->ini, at + 1)) {
		/* The one that may be there more than once. */
		if (strcmp(at + 1, DEFAULTS) != 0)
			return complain(reader, "this section is there twice");
		reader->section = (struct ini_section *)section_find(reader->ini, at + 1);
		return 0;
	}
	return section_append(reader, at + 1);
}

/* "name = value", trimmed at both ends. */
static int entry_read(struct ini_reader *reader, char *at, char *end)
{
	char *delimiter = at + strcspn(at, "=:"), *name_end = delimiter, *value;

	if (!reader->section)
		return complain(reader, "no [section] before it");
	if (delimiter == end)
		return complain(reader, "neither a [section] nor \"name = value\"");
	while (name_end > at && is_space(name_end[-1]))
		name_end--;
	if (name_end == at)
		return complain(reader, "no name before the =");
	value = delimiter + 1;
	*name_end = '\0';
	for (char *c = at; c < name_end; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	if (entry_find(reader->section, at))
		return complain(reader, "this name is in its section twice");
	while (is_space(*value))
		value++;
	reader->value_end = end;
	reader->entry_line = reader->line;
	return entry_append(reader, at, value);
}

/* One more line of the value, or an empty one. */
static void value_go_on(struct ini_reader *reader, const char *at, size_t len)
{
	*reader->value_end++ = '\n';
	memmove(reader->value_end, at, len);
	reader->value_end += len;
	*reader->value_end = '\0';
}

/* Each line below "name =" must be "inner = value". */
static bool is_nested_well(const char *value)
{
	for (; *value; value += strcspn(value, "\n")) {
		value += strspn(value, "\n");
		if (*value && !memchr(value, '=', strcspn(value, "\n")))
			return false;
	}
	return true;
}

/* What can be said of a value when it has ended. */
static int entry_end(struct ini_reader *reader)
{
	if (!reader->entry)
		return 0;
	while (reader->value_end > reader->entry->value && is_space(reader->value_end[-1]))
		*--reader->value_end = '\0';
	if (*reader->entry->value == '\n' && !is_nested_well(reader->entry->value)) {
		reader->line = reader->entry_line;
		return complain(reader, "a line of its nested settings is not \"name = value\"");
	}
	reader->entry = NULL;
	return 0;
}

/* The line starts at `at`, and has its NUL at `end`. */
static int line_read(struct ini_reader *reader, char *at, char *end)
{
	const char *start = at;
	size_t indent;
	int err;

	while (is_space(*at))
		at++;
	if (*at == '#' || *at == ';')
		return 0;
	while (end > at && is_space(end[-1]))
		end--;
	if (at == end) {
		if (reader->entry)
			value_go_on(reader, at, 0);
		return 0;
	}
	*end = '\0';
	indent = (size_t)(at - start);
	if (reader->entry && indent > reader->indent) {
		value_go_on(reader, at, (size_t)(end - at));
		return 0;
	}
	err = entry_end(reader);
	if (err < 0)
		return err;
	reader->indent = indent;
	/* "[]" is none: a name has a character. */
	if (*at == '[' && end - at > 2 && memrchr(at + 2, ']', (size_t)(end - at) - 2))
		return section_read(reader, at);
	return entry_read(reader, at, end);
}

/* Ends the line at `at` with a NUL; returns where the next one starts. */
static char *line_cut(char *at, char **ret_end)
{
	char *next;

	*ret_end = at + strcspn(at, "\r\n");
	if (!**ret_end)
		return *ret_end;
	next = *ret_end + (strncmp(*ret_end, "\r\n", 2) == 0 ? 2 : 1);
	**ret_end = '\0';
	return next;
}

static int text_read(struct ini_reader *reader)
{
	const char *text_end = reader->ini->text + reader->ini->len;
	char *at = reader->ini->text, *end;

	/* A byte order mark, as some editors leave it. */
	if (strncmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	while (at < text_end) {
		char *next = line_cut(at, &end);
		int err;

		reader->line++;
		if (next == end && end < text_end)
			return complain(reader, "a NUL in it");
		err = line_read(reader, at, end);
		if (err < 0)
			return err;
		at = next;
	}
	return entry_end(reader);
}

int s3_ini_parse(const char *text, size_t len, const char *file, struct s3_ini **ret,
	char error[SOURCE_ERROR_MAX])
{
	struct s3_ini *ini = calloc(1, sizeof *ini);
	struct ini_reader reader = {.ini = ini};
	int err = -ENOMEM;

	if (ini) {
		ini->text = malloc(len + 1);
		ini->len = len;
	}
	if (ini && ini->text) {
		memcpy(ini->text, text, len);
		ini->text[len] = '\0';
		err = text_read(&reader);
	}
	if (err < 0) {
		snprintf(error, SOURCE_ERROR_MAX, "%.160s:%u: %s", file, reader.line,
			reader.reason ? reader.reason : strerror(-err));
		s3_ini_destroy(ini);
		return err;
	}
	*ret = ini;
	return 0;
}

void s3_ini_destroy(struct s3_ini *ini)
{
	if (!ini)
		return;
	for (size_t i = 0; i < ini->count; i++)
		free(ini->sections[i].entries);
	free(ini->sections);
	if (ini->text)
		explicit_bzero(ini->text, ini->len);
	free(ini->text);
	free(ini);
}

bool s3_ini_has(const struct s3_ini *ini, const char *section)
{
	return ini && strcmp(section, DEFAULTS) != 0 && section_find(ini, section);
}

const char *s3_ini_get(const struct s3_ini *ini, const char *section, const char *name)
{
	const char *value;

	if (!s3_ini_has(ini, section))
		return NULL;
	value = entry_find(section_find(ini, section), name);
	return value ? value : entry_find(section_find(ini, DEFAULTS), name);
}

size_t s3_ini_count(const struct s3_ini *ini)
{
	return ini ? ini->count : 0;
}

const char *s3_ini_section(const struct s3_ini *ini, size_t index)
{
	return ini->sections[index].name;
}
