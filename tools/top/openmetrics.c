/*
 * openmetrics.c - see openmetrics.h. One pass over a copy of the text, which is cut and unescaped
 * in place.
 *
 *	text    = *( family ) "# EOF" LF
 *	family  = "# TYPE" name type LF ["# UNIT" name unit LF] "# HELP" name words LF *( sample )
 *	sample  = name suffix [ "{" label "=" quoted "}" ] number LF
 *
 * O1 a sample belongs to the family before it, and has a suffix that its type allows
 * O2 a family comes once   O3 the last line is whole
 */
#include "openmetrics.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

struct type {
	const char *name;
	const char *suffixes[4];
};

static const struct type types[] = {
	{"counter", {"_total"}},
	{"gauge", {""}},
	{"histogram", {"_bucket", "_sum", "_count"}},
};

struct reading {
	struct samples *samples;
	size_t room; /* for samples */
	char *at;    /* the line: its LF is a NUL now */
	const char *family;
	const struct type *type;
	const char **families;
	size_t family_count;
	bool has_help, has_unit, ended;
};

/* ---- words -------------------------------------------------------------------------------- */

static bool is_name_byte(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

/* Cuts a name off that `end` follows, and goes on behind that. NULL: none is there. */
static char *take_name(char **at, char end)
{
	char *name = *at, *to = name;

	while (is_name_byte(*to, to == name))
		to++;
	if (to == name || *to != end)
		return NULL;
	*at = to + (end != '\0');
	*to = '\0';
	return name;
}

static bool take_word(char **at, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*at, word, length) != 0)
		return false;
	*at += length;
	return true;
}

/* What is between quotes, unescaped in place; goes on behind the closing one. */
static char *take_quoted(char **at)
{
	char *value, *to;

	if (!take_word(at, "\""))
		return NULL;
	value = to = *at;
	for (; **at != '"'; ++*at) {
		if ((unsigned char)**at < ' ' || **at == 0x7f)
			return NULL;
		/* There is "\n" as well, but no such names (name_clean()). */
		if (**at == '\\' && *++*at != '\\' && **at != '"')
			return NULL;
		*to++ = **at;
	}
	++*at;
	*to = '\0';
	return value;
}

/* All of the rest: [-]digits[.digits]. */
static bool take_number(char *at, double *ret)
{
	char *from = at, *end;

	at += *at == '-';
	if (at[strspn(at, "0123456789.")] != '\0' || *at < '0' || *at > '9')
		return false;
	*ret = strtod(from, &end);
	return *end == '\0' && isfinite(*ret) && end[-1] != '.';
}

/* ---- lines -------------------------------------------------------------------------------- */

static int read_type(struct reading *reading)
{
	char *name = take_name(&reading->at, ' ');

	if (!name || (reading->family && !reading->has_help))
		return -EINVAL;
	for (size_t i = 0; i < reading->family_count; i++)
		if (strcmp(reading->families[i], name) == 0)
			return -EINVAL; /* O2 */
	reading->type = NULL;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(types[i].name, reading->at) == 0)
			reading->type = &types[i];
	if (!reading->type)
		return -EINVAL;
	reading->families[reading->family_count++] = name;
	reading->family = name;
	reading->has_help = reading->has_unit = false;
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length > wanted && strcmp(text + length - wanted, end) == 0;
}

/* "# UNIT name unit" and "# HELP name words", of the family and in this order. */
static int read_about(struct reading *reading, bool is_help)
{
	char *name = take_name(&reading->at, ' ');

	if (!name || !reading->family || strcmp(name, reading->family) != 0 || reading->has_help ||
		*reading->at == '\0')
		return -EINVAL;
	if (!is_help && (reading->has_unit || !ends_with(name, reading->at)))
		return -EINVAL;
	reading->has_unit |= !is_help;
	reading->has_help = is_help;
	return 0;
}

static int read_comment(struct reading *reading)
{
	if (strcmp(reading->at, "EOF") == 0) {
		reading->ended = true;
		return reading->family && !reading->has_help ? -EINVAL : 0;
	}
	if (take_word(&reading->at, "TYPE "))
		return read_type(reading);
	if (take_word(&reading->at, "UNIT "))
		return read_about(reading, false);
	return take_word(&reading->at, "HELP ") ? read_about(reading, true) : -EINVAL;
}

/* O1 */
static bool belongs(const struct reading *reading, const char *name)
{
	size_t length = reading->family ? strlen(reading->family) : 0;

	if (length == 0 || !reading->has_help || strncmp(name, reading->family, length) != 0)
		return false;
	for (size_t i = 0; i < 4 && reading->type->suffixes[i]; i++)
		if (strcmp(name + length, reading->type->suffixes[i]) == 0)
			return true;
	return false;
}

static int add_sample(struct reading *reading, const struct sample *sample)
{
	struct samples *samples = reading->samples;
	struct sample *more;

	if (samples->count == reading->room) {
		reading->room = reading->room ? 2 * reading->room : 256;
		more = reallocarray(samples->list, reading->room, sizeof *more);
		if (!more)
			return -ENOMEM;
		samples->list = more;
	}
	samples->list[samples->count++] = *sample;
	return 0;
}

static int read_sample(struct reading *reading)
{
	struct sample sample = {0};
	bool has_label = strchr(reading->at, '{') != NULL;

	sample.name = take_name(&reading->at, has_label ? '{' : ' ');
	if (!sample.name || !belongs(reading, sample.name))
		return -EINVAL;
	if (has_label) {
		sample.label = take_name(&reading->at, '=');
		sample.value = sample.label ? take_quoted(&reading->at) : NULL;
		if (!sample.value || !take_word(&reading->at, "} "))
			return -EINVAL;
	}
	if (!take_number(reading->at, &sample.number))
		return -EINVAL;
	return add_sample(reading, &sample);
}

static int read_lines(struct reading *reading, char *text, const char *end, unsigned *ret_line)
{
	int err = 0;

	for (*ret_line = 1; err == 0 && text < end; ++*ret_line) {
		char *feed = memchr(text, '\n', (size_t)(end - text));

		/* O3; and nothing comes after the end. */
		if (!feed || reading->ended)
			return -EINVAL;
		*feed = '\0';
		if (strlen(text) != (size_t)(feed - text))
			return -EINVAL;
		reading->at = text;
		err = take_word(&reading->at, "# ") ? read_comment(reading) : read_sample(reading);
		if (err < 0)
			return err;
		text = feed + 1;
	}
	return reading->ended ? 0 : -EINVAL;
}

int samples_parse(const char *text, size_t length, struct samples *ret, unsigned *ret_line)
{
	/* A family takes a line of 9 bytes at least. */
	cleanup_free const char **families = calloc(length / 9 + 1, sizeof *families);
	struct reading reading = {.samples = ret, .families = families};
	int err;

	*ret_line = 1;
	*ret = (struct samples){.text = malloc(length + 1)};
	if (!ret->text || !families) {
		samples_finish(ret);
		return -ENOMEM;
	}
	memcpy(ret->text, text, length);
	ret->text[length] = '\0';
	err = length > SAMPLES_BYTES_MAX
		      ? -EINVAL
		      : read_lines(&reading, ret->text, ret->text + length, ret_line);
	if (err < 0)
		samples_finish(ret);
	return err;
}

void samples_finish(struct samples *samples)
{
	free(samples->text);
	free(samples->list);
	*samples = (struct samples){0};
}

const struct sample *samples_find(
	const struct samples *samples, const char *name, const char *value)
{
	for (size_t i = 0; i < samples->count; i++) {
		const struct sample *sample = &samples->list[i];

		if (strcmp(sample->name, name) == 0 &&
			(!value || (sample->value && strcmp(sample->value, value) == 0)))
			return sample;
	}
	return NULL;
}

double samples_number(const struct samples *samples, const char *name, const char *value)
{
	const struct sample *sample = samples_find(samples, name, value);

	return sample ? sample->number : 0;
}
