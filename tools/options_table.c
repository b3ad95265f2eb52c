/*
 * options_table.c - every option there is, every subcommand, and the help made from them.
 *
 * A new option is a field in struct options and a row here. The tables are constant; printing is
 * for the main thread, as stdio is.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core.h"
#include "figures.h"
#include "log.h"
#include "options_table.h"

#define HELP_COLUMN 31
#define HELP_WIDTH 80

/* A row whose type is not its field's does not compile. */
#define TYPE_CHECK(a, b) (sizeof(char[__builtin_types_compatible_p(a, b) ? 1 : -1]) - 1)
#define FIELD(c_type, member)                       \
	.field = offsetof(struct options, member) + \
		 TYPE_CHECK(c_type, __typeof__(((struct options *)0)->member))

#define FLAG(member) .type = OPTION_FLAG, FIELD(bool, member)
#define STRING(member) .type = OPTION_STRING, FIELD(const char *, member)
#define UINT(member) .type = OPTION_UINT, FIELD(uint64_t, member)
#define MODE(member) .type = OPTION_MODE, FIELD(uint64_t, member), .max = 0777
#define DECIMAL(member) .type = OPTION_DECIMAL, FIELD(uint64_t, member), .max = UINT64_MAX
#define ID(member) .type = OPTION_ID, FIELD(uint64_t, member), .max = UINT32_MAX - 1
#define SIZE(member) .type = OPTION_SIZE, FIELD(uint64_t, member)
#define DURATION(member) .type = OPTION_DURATION, FIELD(uint64_t, member)
#define CHOICE(member, names) .type = OPTION_CHOICE, FIELD(unsigned, member), .choices = names
#define CHOICES(member, names) .type = OPTION_CHOICES, FIELD(unsigned, member), .choices = names
#define RANGE(member) .type = OPTION_RANGE, FIELD(struct range, member)

#define ALL ((1u << SUBCOMMAND_COUNT) - 1)
#define MOUNT (1u << SUBCOMMAND_MOUNT)
#define LS (1u << SUBCOMMAND_LS)
#define CAT (1u << SUBCOMMAND_CAT)
#define BENCH (1u << SUBCOMMAND_BENCH)
#define TOP (1u << SUBCOMMAND_TOP)
#define STAT (1u << SUBCOMMAND_STAT)
#define VIEW (1u << SUBCOMMAND_VIEW)
#define SOURCES (MOUNT | LS | STAT | CAT | BENCH | VIEW)

#define HOUR_NS (UINT64_C(3600) * 1000000000)

static const char *const log_levels[] = {[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARNING] = "warning",
	[LOG_ERROR] = "error",
	NULL};

static const char *const switches[] = {"off", "on", NULL};

static const char *const patterns[] = {[PATTERN_RANDOM] = "random",
	[PATTERN_SEQUENTIAL] = "sequential",
	[PATTERN_STRIDE] = "stride",
	[PATTERN_ZIPF] = "zipf",
	[PATTERN_HOTCOLD] = "hotcold",
	[PATTERN_REPLAY] = "replay",
	NULL};

const char *const verify_modes[] = {[VERIFY_AUTO] = "auto",
	[VERIFY_OFF] = "off",
	[VERIFY_REQUIRE] = "require",
	[VERIFY_BLOCKS] = "blocks",
	NULL};

/* clang-format off */
const struct option_row option_rows[] = {
	{"foreground", 'f', FLAG(foreground),
		.subcommands = MOUNT,
		.help = "stay in the foreground"},
	{"allow-other", 0, FLAG(allow_other),
		.subcommands = MOUNT, .in_o = true,
		.help = "let other users in, as the permissions say"},
	{"metadata-ttl", 0, DURATION(metadata_ttl_ns),
		.value = "1s", .argument = "DURATION",
		.subcommands = MOUNT, .in_o = true, .max = UINT64_MAX,
		.help = "how long names and attributes are believed"},
	{"negative-ttl", 0, DURATION(negative_ttl_ns),
		.value = "5s", .argument = "DURATION",
		.subcommands = MOUNT, .in_o = true, .max = UINT64_MAX,
		.help = "how long it is believed that there is no such name"},
	{"immutable", 0, FLAG(immutable),
		.subcommands = MOUNT, .in_o = true,
		.help = "nothing of SOURCE ever changes: believe everything for ever"},
	{"uid", 0, ID(uid),
		.value = "self", .argument = "NUMBER",
		.subcommands = MOUNT, .in_o = true,
		.help = "owner of all files"},
	{"gid", 0, ID(gid),
		.value = "self", .argument = "NUMBER",
		.subcommands = MOUNT, .in_o = true,
		.help = "group of all files"},
	{"file-mode", 0, MODE(file_mode),
		.value = "0444", .argument = "MODE",
		.subcommands = MOUNT, .in_o = true,
		.help = "permissions of files"},
	{"dir-mode", 0, MODE(dir_mode),
		.value = "0555", .argument = "MODE",
		.subcommands = MOUNT, .in_o = true,
		.help = "permissions of directories"},
	{"umask", 0, MODE(umask),
		.value = "0", .argument = "MODE",
		.subcommands = MOUNT, .in_o = true,
		.help = "permissions that are taken from both"},
	{"memory", 0, SIZE(memory_bytes),
		.value = "64M", .argument = "SIZE",
		.subcommands = MOUNT, .in_o = true, .min = 1 << 20, .max = INT64_MAX,
		.help = "memory for blocks of objects"},
	{"memory", 0, SIZE(map_memory_bytes),
		.value = "0", .argument = "SIZE",
		.subcommands = BENCH, .max = INT64_MAX,
		.help = "memory limit of the engine uffd; 0: PAGEIN_MEMORY, or none"},
	{"spin", 0, DURATION(spin_ns),
		.value = "0", .argument = "DURATION",
		.subcommands = MOUNT | BENCH, .in_o = true, .max = 1000000,
		.help = "look for events for so long before sleeping, as long as that pays"},
	{"loops", 0, UINT(loops),
		.value = "0", .argument = "N",
		.subcommands = MOUNT | BENCH, .in_o = true, .max = LOOPS_LIMIT,
		.help = "threads that serve reads; 0: one less than CPUs, 1 to 4"},
	{"log-level", 0, CHOICE(log_level, log_levels),
		.value = "warning", .argument = "LEVEL",
		.subcommands = MOUNT, .in_o = true,
		.help = "what to log"},
	{"debug", 0, FLAG(debug),
		.subcommands = MOUNT, .in_o = true,
		.help = "the same as --foreground --log-level=debug"},

	{"long", 'l', FLAG(long_format),
		.subcommands = LS,
		.help = "sizes and times, too"},
	{"manifest", 0, FLAG(manifest),
		.subcommands = LS,
		.help = "all that is in SOURCE and below, as a manifest"},
	{"hashes", 0, FLAG(hashes),
		.subcommands = LS,
		.help = "the same with all hashes that --verify=blocks wants: reads every object"},

	{"once", 0, FLAG(once),
		.subcommands = TOP,
		.help = "print the totals once, as when standard output is no terminal"},
	{"interval", 0, DURATION(interval_ns),
		.value = "1s", .argument = "DURATION",
		.subcommands = TOP, .min = 100000000, .max = HOUR_NS,
		.help = "draw the screen anew so often; rates and percentiles are of this time"},
	{"price-request", 0, DECIMAL(price_request),
		.value = "0", .argument = "AMOUNT",
		.subcommands = TOP,
		.help = "price of 1,000 requests, in any currency; 0: no prices"},
	{"price-gb", 0, DECIMAL(price_gb),
		.value = "0", .argument = "AMOUNT",
		.subcommands = TOP,
		.help = "price of 1,000,000,000 bytes that are fetched; 0: no prices"},

	{"range", 0, RANGE(range),
		.value = "0-", .argument = "FIRST-LAST",
		.subcommands = CAT,
		.help = "only these bytes, both included; FIRST- for all the rest"},

	{"at", 0, STRING(at),
		.argument = "PLACE",
		.subcommands = VIEW,
		.help = "begin there: 4096, 0x1000, 10K, 12.5%, $ (the end)"},
	{"quit-if-one-screen", 'F', FLAG(quit_if_fits),
		.subcommands = VIEW,
		.help = "print what fits on one screen, and end"},
	{"chop-long-lines", 'S', FLAG(chop),
		.subcommands = VIEW,
		.help = "cut long lines instead of folding them"},
	{"hex", 'x', FLAG(hex),
		.subcommands = VIEW,
		.help = "begin with hexadecimal digits"},
	{"memory", 0, SIZE(view_memory_bytes),
		.value = "16M", .argument = "SIZE",
		.subcommands = VIEW, .min = 4 << 20, .max = INT64_MAX,
		.help = "memory for what was fetched"},

	{"engine", 0, STRING(engines),
		.value = "floor,uffd,fuse-read,fuse-mmap", .argument = "NAME,...",
		.subcommands = BENCH,
		.help = "what to measure: floor, uffd, floor-cached, uffd-cached, floor-inline, "
			"uffd-inline, uffd-huge, uffd-shared, uffd-hugetlb, fuse-read, fuse-mmap, "
			"path-read, path-mmap"},
	{"pattern", 0, CHOICES(patterns, patterns),
		.value = "random,sequential", .argument = "NAME,...",
		.subcommands = BENCH,
		.help = "order of the accesses (zipf: exponent 0.99)"},
	{"hot-accesses", 0, UINT(hot_accesses),
		.value = "90", .argument = "PERCENT",
		.subcommands = BENCH, .max = 100,
		.help = "so many accesses of pattern hotcold are of the hot places"},
	{"hot-places", 0, UINT(hot_places),
		.value = "10", .argument = "PERCENT",
		.subcommands = BENCH, .max = 100,
		.help = "so many places are hot"},
	{"trace", 0, STRING(trace),
		.argument = "FILE",
		.subcommands = BENCH,
		.help = "what pattern replay plays: lines OFFSET LENGTH [TIME_US [THREAD "
			"[OBJECT]]], as PAGEIN_TRACE=FILE writes them"},
	{"trace-object", 0, UINT(trace_object),
		.value = "0", .argument = "N",
		.subcommands = BENCH, .max = UINT32_MAX,
		.help = "which of the trace's objects"},
	{"recorded-pace", 0, FLAG(recorded_pace),
		.subcommands = BENCH,
		.help = "replay at the trace's times, instead of as fast as it goes"},
	{"stride", 0, SIZE(stride_bytes),
		.value = "64K", .argument = "SIZE",
		.subcommands = BENCH, .min = 1, .max = INT64_MAX,
		.help = "distance of the accesses of pattern stride"},
	{"access-bytes", 0, SIZE(access_bytes),
		.value = "4096", .argument = "SIZE",
		.subcommands = BENCH, .min = 1, .max = INT64_MAX,
		.help = "bytes of an access"},
	{"count", 0, UINT(count),
		.value = "2000", .argument = "N",
		.subcommands = BENCH, .min = 1, .max = UINT64_MAX,
		.help = "accesses of a run"},
	{"size", 0, SIZE(size_bytes),
		.value = "256M", .argument = "SIZE",
		.subcommands = BENCH, .min = 1, .max = INT64_MAX,
		.help = "size of the generated object"},
	{"threads", 0, UINT(threads),
		.value = "1", .argument = "N",
		.subcommands = BENCH, .min = 1, .max = 1024,
		.help = "threads of a process which access at the same time"},
	{"processes", 0, UINT(processes),
		.value = "1", .argument = "N",
		.subcommands = BENCH, .min = 1, .max = 256,
		.help = "processes which access at the same time"},
	{"arrival", 0, UINT(arrival),
		.value = "0", .argument = "N",
		.subcommands = BENCH, .max = 10000000,
		.help = "accesses begin so many times a second, by chance, whether others have "
			"ended or not, and wait for a free thread as part of their time; 0: each "
			"begins when its thread's last has ended"},
	{"warm", 0, FLAG(warm),
		.subcommands = BENCH,
		.help = "access everything once before it is measured"},
	{"slow-fill", 0, UINT(slow_fill),
		.value = "0", .argument = "PERCENT",
		.subcommands = BENCH, .max = 10000,
		.help = "the fills of the floors take so much longer: does diff find it?"},
	{"suite", 0, FLAG(suite),
		.subcommands = BENCH,
		.help = "the standard set, some minutes: near, cold pages "
			"beside their floors, 1 MiB at a time, all in sequence, "
			"stride, zipf and hotcold, 16 threads, 4 processes, 2000 "
			"arrivals a second; 10 ms away, cold pages, all in "
			"sequence, 64 threads"},
	{"runs", 0, UINT(runs),
		.value = "5", .argument = "N",
		.subcommands = BENCH, .min = 1, .max = 1000000,
		.help = "runs of each engine and pattern"},
	{"seed", 0, UINT(seed),
		.value = "1", .argument = "N",
		.subcommands = BENCH, .max = UINT64_MAX,
		.help = "of the data and of the random patterns"},
	{"delay", 0, DURATION(delay_ns),
		.value = "0", .argument = "DURATION",
		.subcommands = BENCH, .max = HOUR_NS,
		.help = "of the embedded server, before the first byte of an answer"},
	{"rate", 0, SIZE(rate_bytes),
		.value = "0", .argument = "SIZE",
		.subcommands = BENCH, .max = INT64_MAX,
		.help = "of the embedded server, a second and connection; 0: no limit"},
	{"pin", 0, FLAG(pin),
		.subcommands = BENCH,
		.help = "pin threads to CPUs"},
	{"path", 0, STRING(path),
		.argument = "FILE",
		.subcommands = BENCH,
		.help = "the file which the engines path-read and path-mmap read"},
	{"json", 0, STRING(json),
		.argument = "FILE",
		.subcommands = BENCH,
		.help = "write the results to FILE, too"},
	{"samples", 0, STRING(samples),
		.argument = "FILE",
		.subcommands = BENCH,
		.help = "write each access of each run to FILE, as CSV"},
	{"html", 0, STRING(html),
		.argument = "FILE",
		.subcommands = BENCH,
		.help = "draw the results in FILE, a page for browsers that needs no other"},
	{"svg", 0, STRING(svg),
		.argument = "FILE",
		.subcommands = BENCH,
		.help = "draw how long the random accesses took (of the suite: its first "
			"scenario's) in FILE, a picture"},

	{"netrc-file", 0, STRING(netrc_file),
		.argument = "FILE",
		.subcommands = SOURCES, .in_o = true,
		.help = "http: who to log in as, on which machine (default: ~/.netrc, if there is "
			"one); only its owner may be able to read it"},
	{"token-file", 0, STRING(token_file),
		.argument = "FILE",
		.subcommands = SOURCES, .in_o = true,
		.help = "http: bearer tokens, lines TOKEN or HOST TOKEN; as --netrc-file"},
	{"profile", 0, STRING(s3.profile),
		.argument = "NAME",
		.subcommands = SOURCES, .in_o = true,
		.help = "s3: the profile in ~/.aws (default: AWS_PROFILE, or default)"},
	{"region", 0, STRING(s3.region),
		.argument = "NAME",
		.subcommands = SOURCES, .in_o = true,
		.help = "s3: where the bucket is (default: AWS_REGION, the profile's, or "
			"what the bucket answers)"},
	{"endpoint-url", 0, STRING(s3.endpoint),
		.argument = "URL",
		.subcommands = SOURCES, .in_o = true,
		.help = "s3: a server that is not Amazon's (default: AWS_ENDPOINT_URL_S3, "
			"AWS_ENDPOINT_URL, or the profile's)"},
	{"addressing-style", 0, STRING(s3.addressing),
		.argument = "STYLE",
		.subcommands = SOURCES, .in_o = true,
		.help = "s3: where the bucket's name goes: path, virtual or auto "
			"(default: the profile's, or auto)"},
	{"no-sign-request", 0, FLAG(s3.no_sign_request),
		.subcommands = SOURCES, .in_o = true,
		.help = "s3: a public bucket: look for no credentials"},
	{"requester-pays", 0, FLAG(s3.requester_pays),
		.subcommands = SOURCES, .in_o = true,
		.help = "s3: the bucket's requests are paid by who makes them"},

	{"verify", 0, CHOICE(verify, verify_modes),
		.value = "auto", .argument = "MODE",
		.subcommands = MOUNT | LS | CAT | BENCH | VIEW, .in_o = true,
		.help = "check bytes by what their source tells of them; require, blocks: refuse "
			"what can't be checked when all has been read, or before it is shown"},

	{"sandbox", 0, CHOICE(sandbox, switches),
		.value = "on", .argument = "WORD",
		.subcommands = MOUNT | LS | STAT | CAT, .in_o = true,
		.help = "give up all that is not needed before the first server is asked: files, "
			"system calls, privileges"},
	{"connections", 0, UINT(connections),
		.value = "96", .argument = "N",
		.subcommands = SOURCES, .in_o = true, .min = 1, .max = 1024,
		.help = "connections of a loop to one host at most"},
	{"timeout", 0, DURATION(timeout_ns),
		.value = "30s", .argument = "DURATION",
		.subcommands = SOURCES, .in_o = true, .min = 1000000, .max = HOUR_NS,
		.help = "longest time without a page arriving"},
	{"deadline", 0, DURATION(deadline_ns),
		.value = "60s", .argument = "DURATION",
		.subcommands = MOUNT | BENCH, .in_o = true, .min = 1000000, .max = HOUR_NS,
		.help = "longest time that a read or the touch of a page lasts, whatever arrives"},
	{"hedge", 0, UINT(hedge_percent),
		.value = "5", .argument = "PERCENT",
		.subcommands = SOURCES, .in_o = true, .max = 100,
		.help = "requests that may be sent a second time, where some answers are late; "
			"0: none"},
	{"help", 'h', FLAG(help),
		.subcommands = ALL,
		.help = "print this and exit"},
	{"version", 'V', FLAG(version),
		.subcommands = ALL,
		.help = "print the version and exit"},
};
/* clang-format on */

const size_t option_row_count = sizeof(option_rows) / sizeof(option_rows[0]);

const struct subcommand_row subcommand_rows[SUBCOMMAND_COUNT] = {
	[SUBCOMMAND_MOUNT] = {"mount", "SOURCE DIR", 2, 2, "mount SOURCE on DIR, read-only"},
	[SUBCOMMAND_UMOUNT] = {"umount", "DIR", 1, 1, "unmount DIR"},
	[SUBCOMMAND_LS] = {"ls", "SOURCE", 1, 1, "list the names in SOURCE"},
	[SUBCOMMAND_STAT] = {"stat", "SOURCE", 1, 1, "print what is known of SOURCE"},
	[SUBCOMMAND_CAT] = {"cat", "SOURCE", 1, 1, "write the bytes of SOURCE to standard output"},
	[SUBCOMMAND_BENCH] = {"bench", "[SOURCE | diff BEFORE.json AFTER.json]", 0, 3,
		"measure fault to fill (no SOURCE: of a server of its own), or compare records"},
	[SUBCOMMAND_DOCTOR] = {"doctor", "", 0, 0,
		"tell what this kernel, user and container allow"},
	[SUBCOMMAND_TOP] = {"top", "DIR|PID|SOCKET", 1, 1,
		"show the figures of a mount, or of a process with PAGEIN_METRICS=DIR"},
	[SUBCOMMAND_VIEW] = {"view", "SOURCE", 0, 1,
		"page through an object, fetching what is looked at; h there: the keys"},
};

int subcommand_find(const char *name, enum subcommand *ret)
{
	for (unsigned i = 0; i < SUBCOMMAND_COUNT; i++) {
		if (!strcmp(subcommand_rows[i].name, name)) {
			*ret = (enum subcommand)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *pattern_name(enum pattern pattern)
{
	return patterns[pattern];
}

const char *subcommand_name(enum subcommand subcommand)
{
	return subcommand_rows[subcommand].name;
}

char *option_choices(const struct option_row *row, char to[OPTION_CHOICES_ROOM])
{
	size_t used = 0;

	for (const char *const *name = row->choices; *name; name++) {
		used += (size_t)snprintf(
			to + used, OPTION_CHOICES_ROOM - used, "%s%s", used ? ", " : "", *name);
		assert(used < OPTION_CHOICES_ROOM);
	}
	return to;
}

/* Goes on at this column of a line, and breaks between words. */
static void words_print(FILE *to, const char *text, size_t column)
{
	while (*text) {
		size_t length = strcspn(text, " ");

		if (column + 1 + length > HELP_WIDTH) {
			fprintf(to, "\n%*s", HELP_COLUMN - 1, "");
			column = HELP_COLUMN - 1;
		}
		fprintf(to, " %.*s", (int)length, text);
		column += 1 + length;
		text += length + (text[length] == ' ');
	}
	fputc('\n', to);
}

static void row_print(FILE *to, const char *left, const char *text)
{
	size_t column = (size_t)fprintf(to, "%-*s", HELP_COLUMN - 1, left);

	if (column >= HELP_COLUMN) {
		fprintf(to, "\n%*s", HELP_COLUMN - 1, "");
		column = HELP_COLUMN - 1;
	}
	words_print(to, text, column);
}

static void option_print(FILE *to, const struct option_row *row)
{
	char names[OPTION_CHOICES_ROOM], left[64], text[320];
	char letter[] = {' ', ' ', row->letter ? '-' : ' ', row->letter ? row->letter : ' ',
		row->letter ? ',' : ' ', ' ', 0};

	snprintf(left, sizeof(left), "%s--%s%s%s", letter, row->name, row->argument ? "=" : "",
		row->argument ? row->argument : "");
	snprintf(text, sizeof(text), "%s%s%s%s%s%s", row->help, row->choices ? ": " : "",
		row->choices ? option_choices(row, names) : "", row->value ? " (default " : "",
		row->value ? row->value : "", row->value ? ")" : "");
	row_print(to, left, text);
}

static void mount_style_print(FILE *to)
{
	char text[640] = "the same as options, as in fstab, beside those of every mount:";

	for (size_t i = 0; i < option_row_count; i++) {
		if (!option_rows[i].in_o)
			continue;
		strcat(text, " ");
		strcat(text, option_rows[i].name);
	}
	row_print(to, "  -o NAME[=VALUE],...", text);
}

/* Each is documented where it is named: figures.c. */
static void figures_help(FILE *to)
{
	struct figure_info info;
	char left[64], text[320];

	fprintf(to,
		"\nFigures of mounts (m) and of processes (p), as DIR/.pagein/metrics and SOCKET\n"
		"have them; to the samples of counters, \"_total\" is added:\n");
	for (unsigned i = 0; figure_info(i, &info); i++) {
		snprintf(left, sizeof(left), "  %s", info.name);
		snprintf(text, sizeof(text), "%s%s%s%s%s%s%s: %s",
			info.doors[FIGURES_MOUNT] ? "m" : "",
			info.doors[FIGURES_PROCESS] ? "p" : "", *info.label ? ", each " : "",
			info.label, *info.unit ? ", in " : "", info.unit,
			*info.type == 'g' ? ", now" : "", info.help);
		row_print(to, left, text);
	}
}

void options_help(enum subcommand subcommand, FILE *to)
{
	const struct subcommand_row *row = &subcommand_rows[subcommand];

	fprintf(to, "Usage: pagein %s [OPTION]...%s%s\n\n", row->name, *row->operands ? " " : "",
		row->operands);
	fprintf(to, "%c%s.\n\nOptions:\n", row->help[0] - 'a' + 'A', row->help + 1);
	for (size_t i = 0; i < option_row_count; i++)
		if (option_taken(&option_rows[i], subcommand))
			option_print(to, &option_rows[i]);
	if (subcommand == SUBCOMMAND_MOUNT)
		mount_style_print(to);
	fprintf(to, "\nA SIZE may have K, M, G or T behind it, a DURATION has us, ms or s.\n");
	if (subcommand == SUBCOMMAND_TOP)
		figures_help(to);
}

void options_overview(FILE *to)
{
	fprintf(to, "Usage: pagein SUBCOMMAND [OPTION]... [OPERAND]...\n\nSubcommands:\n");
	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
		char left[64];

		snprintf(left, sizeof(left), "  %s %s", subcommand_rows[i].name,
			subcommand_rows[i].operands);
		row_print(to, left, subcommand_rows[i].help);
	}
	fprintf(to, "\nEach has a --help of its own.\n");
}
