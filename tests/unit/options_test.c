/*
 * options_test.c - what a command line becomes, and what is said about a wrong one.
 *
 * Lines are written as a user types them and split at blanks. stderr is read back, for an error is
 * one line of a known text, and silence everywhere else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "cleanup.h"
#include "log.h"
#include "option_value.h"
#include "options.h"

#define ARGUMENTS_MAX 32

struct parsed {
	char line[512];
	char *argv[ARGUMENTS_MAX];
	struct options options;
	char errors[512]; /* what stderr got */
	int result;
};

static size_t split(char *line, char **argv)
{
	size_t count = 0;
	char *word;

	while ((word = strsep(&line, " ")))
		if (*word)
			argv[count++] = word;
	argv[count] = NULL;
	return count;
}

/* line starts with the subcommand, as argv + 1 of main() does. */
static void parse(const char *line, struct parsed *ret)
{
	FILE *saved = stderr;
	enum subcommand subcommand;
	size_t argc;

	memset(ret, 0xee, sizeof(*ret));
	memset(ret->errors, 0, sizeof(ret->errors));
	snprintf(ret->line, sizeof(ret->line), "%s", line);
	argc = split(ret->line, ret->argv);
	assert_int_equal(subcommand_find(ret->argv[0], &subcommand), 0);
	stderr = fmemopen(ret->errors, sizeof(ret->errors), "w");
	assert_non_null(stderr);
	ret->result = options_parse(subcommand, (int)argc, ret->argv, &ret->options);
	fclose(stderr);
	stderr = saved;
}

static struct options *parse_good(const char *line, struct parsed *ret)
{
	parse(line, ret);
	if (ret->result || *ret->errors)
		fail_msg("%s: %d %s", line, ret->result, ret->errors);
	return &ret->options;
}

static void defaults(void **state)
{
	static struct parsed parsed;
	struct options *options = parse_good("bench", &parsed);

	(void)state;
	assert_int_equal(options->operand_count, 0);
	assert_false(options->help || options->version || options->foreground);
	assert_false(
		options->allow_other || options->debug || options->long_format || options->pin);
	assert_int_equal(options->connections, 96);
	assert_int_equal(options->timeout_ns, 30000000000);
	assert_int_equal(options->metadata_ttl_ns, 1000000000);
	assert_int_equal(options->negative_ttl_ns, 5000000000);
	assert_false(options->immutable);
	assert_true(options->uid == ID_SELF && options->gid == ID_SELF);
	assert_int_equal(options->file_mode, 0444);
	assert_int_equal(options->dir_mode, 0555);
	assert_int_equal(options->umask, 0);
	assert_int_equal(options->memory_bytes, 67108864);
	assert_int_equal(options->log_level, LOG_WARNING);
	assert_string_equal(options->mount_options, "");
	assert_int_equal(options->range.start, 0);
	assert_true(options->range.end == UINT64_MAX);
	assert_string_equal(options->engines, "floor,uffd,fuse-read,fuse-mmap");
	assert_int_equal(options->patterns, 1 << PATTERN_RANDOM | 1 << PATTERN_SEQUENTIAL);
	assert_int_equal(options->access_bytes, 4096);
	assert_int_equal(options->stride_bytes, 65536);
	assert_int_equal(options->count, 2000);
	assert_int_equal(options->size_bytes, 268435456);
	assert_int_equal(options->threads, 1);
	assert_int_equal(options->runs, 5);
	assert_int_equal(options->seed, 1);
	assert_int_equal(options->delay_ns, 0);
	assert_int_equal(options->rate_bytes, 0);
	assert_null(options->json);
	assert_null(options->path);
}

static void mount_options(void **state)
{
	static struct parsed parsed;
	struct options *options;

	(void)state;
	options = parse_good("mount -f http://h/d/ --allow-other --metadata-ttl=250ms /mnt "
			     "--memory 1G --log-level error --connections=7 --timeout 1500ms",
		&parsed);
	assert_int_equal(options->operand_count, 2);
	assert_string_equal(options->operands[0], "http://h/d/");
	assert_string_equal(options->operands[1], "/mnt");
	assert_true(options->foreground && options->allow_other);
	assert_int_equal(options->metadata_ttl_ns, 250000000);
	assert_int_equal(options->memory_bytes, 1073741824);
	assert_int_equal(options->log_level, LOG_ERROR);
	assert_int_equal(options->connections, 7);
	assert_int_equal(options->timeout_ns, 1500000000);
	assert_false(options->debug);

	options = parse_good("mount --allow_other --metadata_ttl=0 s d --log_level=info", &parsed);
	assert_true(options->allow_other);
	assert_int_equal(options->metadata_ttl_ns, 0);
	assert_int_equal(options->log_level, LOG_INFO);

	options = parse_good("mount s d --debug --log-level=error", &parsed);
	assert_true(options->foreground && options->debug);
	assert_int_equal(options->log_level, LOG_DEBUG);
}

static void owners_and_modes(void **state)
{
	static struct parsed parsed;
	struct options *options = parse_good(
		"mount s d -o uid=0,gid=4294967294,file_mode=0640 "
		"--dir-mode=750 --umask 027 --immutable -o negative_ttl=0",
		&parsed);

	(void)state;
	assert_int_equal(options->uid, 0);
	assert_int_equal(options->gid, UINT32_MAX - 1);
	assert_int_equal(options->file_mode, 0640);
	assert_int_equal(options->dir_mode, 0750);
	assert_int_equal(options->umask, 027);
	assert_int_equal(options->negative_ttl_ns, 0);
	assert_true(options->immutable);
	options = parse_good("mount s d -o uid=7,uid=self", &parsed);
	assert_true(options->uid == ID_SELF);
}

static void mount_style(void **state)
{
	static struct parsed parsed;
	struct options *options;

	(void)state;
	options = parse_good("mount s d -o allow_other,memory=2M -ometadata-ttl=3s -fo "
			     "timeout=5s,,connections=9,",
		&parsed);
	assert_true(options->allow_other && options->foreground);
	assert_int_equal(options->memory_bytes, 2097152);
	assert_int_equal(options->metadata_ttl_ns, 3000000000);
	assert_int_equal(options->timeout_ns, 5000000000);
	assert_int_equal(options->connections, 9);
	assert_string_equal(options->mount_options, "");
	assert_int_equal(options->operand_count, 2);

	options = parse_good("mount -o ro,noauto,_netdev,nofail,defaults,x-systemd.automount,"
			     "comment=hello s -o noatime,nosuid,noatime -o nodev d",
		&parsed);
	assert_string_equal(options->mount_options, "noatime,nosuid,nodev");
	assert_false(options->allow_other);
	assert_string_equal(options->operands[1], "d");

	/* All that are passed fit. */
	options = parse_good("mount s d -o nosuid,nodev,noexec,sync,noatime,nodiratime", &parsed);
	assert_string_equal(options->mount_options, "nosuid,nodev,noexec,sync,noatime,nodiratime");
}

static void operands(void **state)
{
	static struct parsed parsed;
	struct options *options;

	(void)state;
	options = parse_good("mount -- -f --help", &parsed);
	assert_string_equal(options->operands[0], "-f");
	assert_string_equal(options->operands[1], "--help");
	assert_false(options->foreground || options->help);
	options = parse_good("cat -", &parsed);
	assert_string_equal(options->operands[0], "-");
	options = parse_good("bench --json -- s", &parsed);
	assert_string_equal(options->json, "--");
	assert_string_equal(options->operands[0], "s");
}

static void others(void **state)
{
	static struct parsed parsed;
	struct options *options;

	(void)state;
	options = parse_good("cat s --range 10-19", &parsed);
	assert_int_equal(options->range.start, 10);
	assert_int_equal(options->range.end, 20);
	assert_true(parse_good("ls -l s", &parsed)->long_format);
	assert_true(parse_good("ls s --long", &parsed)->long_format);

	options = parse_good(
		"bench s --engine=floor --pattern zipf,random,zipf --access-bytes 4K "
		"--count 1 --stride 2M --size=1T --threads 2 --pin --json f --runs 3 --path p "
		"--seed 18446744073709551615 --delay 100us --rate 80M --rate 90m",
		&parsed);
	assert_string_equal(options->engines, "floor");
	assert_int_equal(options->patterns, 1 << PATTERN_RANDOM | 1 << PATTERN_ZIPF);
	assert_int_equal(options->access_bytes, 4096);
	assert_int_equal(options->stride_bytes, 2097152);
	assert_int_equal(options->count, 1);
	assert_int_equal(options->size_bytes, 1099511627776);
	assert_int_equal(options->threads, 2);
	assert_true(options->pin);
	assert_string_equal(options->json, "f");
	assert_int_equal(options->runs, 3);
	assert_string_equal(options->path, "p");
	assert_true(options->seed == UINT64_MAX);
	assert_int_equal(options->delay_ns, 100000);
	assert_int_equal(options->rate_bytes, 94371840); /* the last one wins */
}

/* Somebody who asks for help gets it, whatever else is missing or wrong behind it. */
static void help_first(void **state)
{
	static struct parsed parsed;

	(void)state;
	assert_true(parse_good("mount --help", &parsed)->help);
	assert_true(parse_good("mount -fh --bogus", &parsed)->help);
	assert_true(parse_good("mount a b c -V", &parsed)->version);
	assert_true(parse_good("doctor --version", &parsed)->version);
}

static const struct {
	const char *line;
	const char *error;
} wrong[] = {
	{"mount s d --memory=12Q",
		"pagein mount: --memory: '12Q' is not a size; write a number with K, M, G or T"},
	{"mount s d --memory 12Q",
		"pagein mount: --memory: '12Q' is not a size; write a number with K, M, G or T"},
	{"mount s d -o ro,memory=,x",
		"pagein mount: -o memory: '' is not a size; write a number with K, M, G or T"},
	{"mount s d --memory=99999999T", "pagein mount: --memory: '99999999T' is too large"},
	{"mount s d --memory=1K",
		"pagein mount: --memory: '1K' is too small; at least 1048576 bytes"},
	{"mount s d --metadata-ttl=5",
		"pagein mount: --metadata-ttl: '5' is not a duration; write a number with us, ms or s"},
	{"mount s d -o umask=8",
		"pagein mount: -o umask: '8' is not a mode; write octal digits, as "
		"0644"},
	{"mount s d -o umask=", "pagein mount: -o umask: '' is not a mode; write octal digits, as "
				"0644"},
	{"mount s d -o umask=00022", "pagein mount: -o umask: '00022' is not a mode; write octal "
				     "digits, as 0644"},
	{"mount s d --file-mode=4755",
		"pagein mount: --file-mode: '4755' is not a mode; write octal "
		"digits, as 0644"},
	{"mount s d --uid=root", "pagein mount: --uid: 'root' is not a number"},
	{"mount s d --gid=4294967295",
		"pagein mount: --gid: '4294967295' is too large; at most 4294967294"},
	{"ls s --timeout=2d",
		"pagein ls: --timeout: '2d' is not a duration; write a number with us, ms or s"},
	{"ls s --timeout=3601s",
		"pagein ls: --timeout: '3601s' is too large; at most 3600000000000 ns"},
	{"ls s --connections=0", "pagein ls: --connections: '0' is too small; at least 1"},
	{"bench --threads=-1", "pagein bench: --threads: '-1' is not a number"},
	{"bench --threads=1025", "pagein bench: --threads: '1025' is too large; at most 1024"},
	{"bench --pattern=random,",
		"pagein bench: --pattern: 'random,' is not among random, sequential, stride, zipf, hotcold, replay"},
	{"bench --pattern=rand",
		"pagein bench: --pattern: 'rand' is not among random, sequential, stride, zipf, hotcold, replay"},
	{"mount s d --log-level=debug,info",
		"pagein mount: --log-level: 'debug,info' is not among debug, info, warning, error"},
	{"cat s --range=9", "pagein cat: --range: '9' is not a range; write FIRST-LAST or FIRST-"},
	{"cat s --range=9-8",
		"pagein cat: --range: '9-8' is not a range: it ends before it starts"},
	{"cat s --range=0-18446744073709551615",
		"pagein cat: --range: '0-18446744073709551615' is too large"},
	{"mount s d --bogus=1", "pagein mount: --bogus: no such option; see pagein mount --help"},
	{"mount s d --mem=1M", "pagein mount: --mem: no such option; see pagein mount --help"},
	{"mount s d --long", "pagein mount: --long: no such option; see pagein mount --help"},
	{"mount s d --=1", "pagein mount: --: no such option; see pagein mount --help"},
	{"mount s d -fx", "pagein mount: -x: no such option; see pagein mount --help"},
	{"ls s -o ro", "pagein ls: -o: no such option; see pagein ls --help"},
	{"mount s d --foreground=yes", "pagein mount: --foreground: takes no value"},
	{"mount s d -o allow_other=1", "pagein mount: -o allow-other: takes no value"},
	{"mount s d --memory", "pagein mount: --memory: write --memory=SIZE"},
	{"mount s d -o memory", "pagein mount: -o memory: write memory=SIZE"},
	{"mount s d -o", "pagein mount: -o: write -o NAME=VALUE,..."},
	{"mount s d -o rw", "pagein mount: -o rw: a mount of pagein is read-only"},
	{"mount s d -o ro,bogus",
		"pagein mount: -o bogus: no such option; see pagein mount --help"},
	{"mount s d -o foreground",
		"pagein mount: -o foreground: no such option; see pagein mount --help"},
	{"mount s", "pagein mount: write pagein mount SOURCE DIR"},
	{"mount a b c", "pagein mount: 'c' is one operand too many; see pagein mount --help"},
	{"doctor x", "pagein doctor: 'x' is one operand too many; see pagein doctor --help"},
};

static void wrong_lines(void **state)
{
	static struct parsed parsed;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		parse(wrong[i].line, &parsed);
		assert_int_equal(parsed.result, -EINVAL);
		assert_int_equal(strcspn(parsed.errors, "\n") + 1, strlen(parsed.errors));
		parsed.errors[strcspn(parsed.errors, "\n")] = 0;
		assert_string_equal(parsed.errors, wrong[i].error);
	}
}

static const struct {
	const char *(*read)(const char *text, uint64_t *ret);
	const char *text;
	uint64_t value; /* UINT64_MAX: refused */
} numbers[] = {
	{value_uint, "0", 0},
	{value_uint, "007", 7},
	{value_uint, "18446744073709551614", UINT64_MAX - 1},
	{value_uint, "18446744073709551616", UINT64_MAX},
	{value_uint, "", UINT64_MAX},
	{value_uint, " 1", UINT64_MAX},
	{value_uint, "+1", UINT64_MAX},
	{value_uint, "1 ", UINT64_MAX},
	{value_uint, "0x10", UINT64_MAX},
	{value_size, "1", 1},
	{value_size, "3k", 3072},
	{value_size, "3K", 3072},
	{value_size, "1T", UINT64_C(1) << 40},
	{value_size, "16777215T", UINT64_C(16777215) << 40},
	{value_size, "16777216T", UINT64_MAX},
	{value_size, "K", UINT64_MAX},
	{value_size, "1KiB", UINT64_MAX},
	{value_size, "1.5M", UINT64_MAX},
	{value_duration, "1us", 1000},
	{value_duration, "2ms", 2000000},
	{value_duration, "3s", 3000000000},
	{value_duration, "0", 0},
	{value_duration, "0s", 0},
	{value_duration, "0x", UINT64_MAX},
	{value_duration, "s", UINT64_MAX},
	{value_duration, "1", UINT64_MAX},
	{value_duration, "18446744074s", UINT64_MAX},
};

static void number_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint64_t value = UINT64_MAX;
		const char *reason = numbers[i].read(numbers[i].text, &value);

		if (value != numbers[i].value || !reason != (value != UINT64_MAX))
			fail_msg("%s: %ju, %s", numbers[i].text, (uintmax_t)value, reason);
	}
}

static const struct {
	const char *text;
	struct range range; /* {0, 0}: refused */
} ranges[] = {
	{"0-0", {0, 1}},
	{"5-9", {5, 10}},
	{"5-", {5, UINT64_MAX}},
	{"0-18446744073709551614", {0, UINT64_MAX}},
	{"0-18446744073709551615", {0, 0}},
	{"18446744073709551615-", {0, 0}},
	{"-5", {0, 0}},
	{"-", {0, 0}},
	{"", {0, 0}},
	{"5", {0, 0}},
	{"5-4", {0, 0}},
	{"5-6-", {0, 0}},
	{"1-2,3-4", {0, 0}},
	{"1--2", {0, 0}},
	{"a-b", {0, 0}},
};

static void range_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct range range = {0, 0};
		const char *reason = value_range(ranges[i].text, &range);

		if (range.start != ranges[i].range.start || range.end != ranges[i].range.end ||
			!reason == !range.end)
			fail_msg("%s: %ju-%ju, %s", ranges[i].text, (uintmax_t)range.start,
				(uintmax_t)range.end, reason);
	}
}

static void subcommand_names(void **state)
{
	enum subcommand found;

	(void)state;
	for (unsigned i = 0; i < SUBCOMMAND_COUNT; i++) {
		assert_int_equal(subcommand_find(subcommand_name((enum subcommand)i), &found), 0);
		assert_int_equal(found, i);
	}
	assert_int_equal(subcommand_find("", &found), -EINVAL);
	assert_int_equal(subcommand_find("moun", &found), -EINVAL);
	assert_int_equal(subcommand_find("mounts", &found), -EINVAL);
}

static char *help_text(enum subcommand subcommand)
{
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	assert_non_null(stream);
	if (subcommand == SUBCOMMAND_COUNT)
		options_overview(stream);
	else
		options_help(subcommand, stream);
	fclose(stream);
	return text;
}

/* Help fits a terminal, is of the subcommand only, and tells defaults that are the real ones. */
static void help(void **state)
{
	cleanup_free char *mount = help_text(SUBCOMMAND_MOUNT);
	cleanup_free char *overview = help_text(SUBCOMMAND_COUNT);

	(void)state;
	for (unsigned i = 0; i <= SUBCOMMAND_COUNT; i++) {
		cleanup_free char *text = help_text((enum subcommand)i);

		for (char *line = text; *line; line += strcspn(line, "\n") + 1)
			assert_true(strcspn(line, "\n") <= 80);
		assert_non_null(strstr(text, "--help"));
	}
	assert_non_null(strstr(mount, "Usage: pagein mount [OPTION]... SOURCE DIR\n"));
	assert_non_null(strstr(mount, "\n  -f, --foreground  "));
	assert_non_null(strstr(mount, "\n      --memory=SIZE  "));
	assert_non_null(strstr(mount, "(default 64M)\n"));
	assert_non_null(strstr(mount, "debug, info, warning, error"));
	assert_non_null(strstr(mount, "-o NAME"));
	assert_null(strstr(mount, "--pattern"));
	for (unsigned i = 0; i < SUBCOMMAND_COUNT; i++)
		assert_non_null(strstr(overview, subcommand_name((enum subcommand)i)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(mount_options),
		cmocka_unit_test(owners_and_modes),
		cmocka_unit_test(mount_style),
		cmocka_unit_test(operands),
		cmocka_unit_test(others),
		cmocka_unit_test(help_first),
		cmocka_unit_test(wrong_lines),
		cmocka_unit_test(number_table),
		cmocka_unit_test(range_table),
		cmocka_unit_test(subcommand_names),
		cmocka_unit_test(help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
