/*
 * fuzz_options.c - any words as a command line, of each subcommand: the first byte says of which.
 * What is refused is told in one line; what is accepted keeps the limits of the table; what a value
 * stands for is written anew and stands for the same.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "option_value.h"
#include "options_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define ARGUMENTS_MAX 64
#define ERRORS_MAX 16384

/* ---- values ------------------------------------------------------------------------------- */

static void check_reason(const char *reason)
{
	assert(!reason || strncmp(reason, "is ", 3) == 0);
}

static void check_number(
	const char *text, const char *(*read)(const char *, uint64_t *), bool octal)
{
	uint64_t value = 4711, again;
	const char *reason = read(text, &value);
	char printed[40];

	check_reason(reason);
	if (reason) {
		assert(value == 4711);
		return;
	}
	snprintf(printed, sizeof printed, octal ? "%jo" : "%ju", (uintmax_t)value);
	/* "self" is beyond all numbers. */
	assert(!read(printed, &again) && again == value);
}

static void check_range(const char *text)
{
	struct range range = {1, 0}, again;
	const char *reason = value_range(text, &range);
	char printed[48];

	check_reason(reason);
	if (reason) {
		assert(range.start == 1 && range.end == 0);
		return;
	}
	assert(range.start < range.end);
	if (range.end == UINT64_MAX)
		snprintf(printed, sizeof printed, "%ju-", (uintmax_t)range.start);
	else
		snprintf(printed, sizeof printed, "%ju-%ju", (uintmax_t)range.start,
			(uintmax_t)(range.end - 1));
	assert(!value_range(printed, &again) && again.start == range.start &&
		again.end == range.end);
}

static void check_values(const char *text)
{
	check_number(text, value_uint, false);
	check_number(text, value_mode, true);
	check_number(text, value_id, false);
	check_number(text, value_size, false);
	check_range(text);
}

static void check_duration(const char *text)
{
	uint64_t value, again;
	char printed[40];

	if (value_duration(text, &value))
		return;
	if (value % 1000 == 0) {
		snprintf(printed, sizeof printed, "%juus", (uintmax_t)(value / 1000));
		assert(!value_duration(printed, &again) && again == value);
	}
}

/* ---- command lines ------------------------------------------------------------------------ */

static void check_limits(
	enum subcommand subcommand, const struct options *options, const struct option_row *row)
{
	const void *field = (const char *)options + row->field;
	uint64_t value;

	if (!option_taken(row, subcommand))
		return;
	switch (row->type) {
	case OPTION_UINT:
	case OPTION_MODE:
	case OPTION_ID:
	case OPTION_SIZE:
	case OPTION_DURATION:
		memcpy(&value, field, sizeof value);
		assert(value >= row->min);
		assert(value <= row->max || (row->type == OPTION_ID && value == ID_SELF));
		break;
	default:
		break;
	}
}

static void check_accepted(enum subcommand subcommand, const struct options *options, int argc)
{
	const struct subcommand_row *row = &subcommand_rows[subcommand];

	for (size_t i = 0; i < option_row_count; i++)
		check_limits(subcommand, options, &option_rows[i]);
	assert(options->operand_count < (size_t)argc);
	assert(strlen(options->mount_options) < sizeof options->mount_options);
	if (options->help || options->version)
		return;
	assert(options->operand_count >= row->operands_min &&
		options->operand_count <= row->operands_max);
	assert(subcommand != SUBCOMMAND_CAT || options->range.start < options->range.end);
}

/* One line, or none. */
static void check_told(const char *errors, int result)
{
	size_t length = strlen(errors);

	if (result == 0) {
		assert(length == 0);
		return;
	}
	assert(result == -EINVAL && strncmp(errors, "pagein ", 7) == 0);
	assert(errors[length - 1] == '\n');
}

static void check_line(enum subcommand subcommand, int argc, char **argv)
{
	static char errors[ERRORS_MAX];
	FILE *saved = stderr;
	struct options options;
	int result;

	memset(&options, 0xee, sizeof options);
	stderr = fmemopen(errors, sizeof errors, "w");
	setbuf(stderr, NULL);
	result = options_parse(subcommand, argc, argv, &options);
	fclose(stderr);
	stderr = saved;
	check_told(result ? errors : "", result);
	if (result == 0)
		check_accepted(subcommand, &options, argc);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	cleanup_free char *text = calloc(1, len + 1);
	char *argv[ARGUMENTS_MAX + 1] = {0}, *rest = text, *word;
	enum subcommand subcommand;
	int argc = 1;

	if (len == 0)
		return 0;
	memcpy(text, bytes + 1, len - 1);
	check_values(text);
	check_duration(text);
	argv[0] = (char *)"pagein";
	while (argc < ARGUMENTS_MAX && (word = strsep(&rest, "\n")))
		argv[argc++] = word;
	subcommand = bytes[0] % SUBCOMMAND_COUNT;
	check_line(subcommand, argc, argv);
	assert(subcommand_find(argv[1], &subcommand) == 0 ||
		subcommand_find(argv[1], &subcommand) == -EINVAL);
	return 0;
}
