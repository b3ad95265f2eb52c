/*
 * options.h - the command line of `pagein SUBCOMMAND`.
 *
 * One table, options_table.c, says what there is: parsing, defaults, limits and --help all come
 * from it. Secrets are not among it: a command line can be read by every user of the machine.
 *
 * For the main thread, before there are others. Errors are one line on stderr and -EINVAL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "range.h"
#include "s3_config.h"

enum subcommand {
	SUBCOMMAND_MOUNT,
	SUBCOMMAND_UMOUNT,
	SUBCOMMAND_LS,
	SUBCOMMAND_STAT,
	SUBCOMMAND_CAT,
	SUBCOMMAND_BENCH,
	SUBCOMMAND_DOCTOR,
	SUBCOMMAND_TOP,
	SUBCOMMAND_VIEW,
	SUBCOMMAND_COUNT,
};

enum pattern {
	PATTERN_RANDOM,
	PATTERN_SEQUENTIAL,
	PATTERN_STRIDE,
	PATTERN_ZIPF,
	PATTERN_HOTCOLD,
	PATTERN_REPLAY,
	PATTERN_COUNT,
};

/*
 * What was asked for. Fields of options which the subcommand does not take have their defaults.
 * Strings point into argv, or are constant: nothing to free.
 */
#define LOOPS_LIMIT 64 /* most --loops */
#define ID_SELF UINT64_MAX

struct options {
	char **operands;
	size_t operand_count; /* as many as the subcommand wants, unless help or version */

	/* all; when help or version is set, what stood behind it was not looked at */
	bool help;
	bool version;
	uint64_t connections;                /* at most so many of a loop to one host */
	uint64_t spin_ns;                    /* before a loop sleeps */
	uint64_t loops;                      /* threads that serve; 0: as many as are worth it */
	uint64_t timeout_ns;                 /* without a page arriving */
	uint64_t deadline_ns;                /* of a read, or the touch of a page */
	uint64_t hedge_percent;              /* see option_hedge_percent() */
	struct s3_options s3;                /* of s3:// URLs */
	const char *netrc_file, *token_file; /* of web servers: auth.h */
	unsigned verify;                     /* enum verify */
	unsigned sandbox;                    /* 0: off; sandbox.h */

	/* mount */
	bool foreground;
	bool allow_other;
	bool debug; /* sets foreground and log_level, too */
	bool immutable;
	uint64_t metadata_ttl_ns;
	uint64_t negative_ttl_ns;
	uint64_t uid, gid; /* ID_SELF: who mounts */
	uint64_t file_mode, dir_mode, umask;
	uint64_t memory_bytes;
	unsigned log_level;     /* enum log_level */
	char mount_options[64]; /* for mount(2), as "noexec,noatime"; "" if none */

	/* ls */
	bool long_format;
	bool manifest;
	bool hashes;

	/* top */
	bool once;
	uint64_t interval_ns;
	uint64_t price_request; /* of 1,000, in millionths */
	uint64_t price_gb;      /* likewise */

	/* cat */
	struct range range; /* end UINT64_MAX: to the end of the object */

	/* view */
	bool quit_if_fits;
	bool hex;
	bool chop;                  /* cut long lines */
	const char *at;             /* where to begin, unchecked, or NULL */
	uint64_t view_memory_bytes; /* pagein_options.memory */

	/* bench */
	const char *engines;   /* names joined by commas, unchecked */
	unsigned patterns;     /* 1 << enum pattern, several */
	uint64_t access_bytes; /* of one access */
	uint64_t stride_bytes; /* from access to access of pattern stride */
	uint64_t count;        /* accesses of a run */
	uint64_t size_bytes;   /* of the generated object */
	uint64_t threads;      /* of a process */
	uint64_t processes;    /* which access at the same time */
	uint64_t arrival; /* accesses a second, whether the last has ended or not; 0: when it has */
	uint64_t hot_places, hot_accesses; /* per cent, of pattern hotcold */
	const char *trace;                 /* file which pattern replay plays, or NULL */
	uint64_t trace_object;             /* which of the trace */
	bool recorded_pace;                /* ... at the times that it says */
	bool warm;                         /* everything is accessed once before it is measured */
	uint64_t slow_fill;                /* per cent, of the floor */
	bool suite;                        /* the standard set */
	uint64_t runs;
	uint64_t seed;
	uint64_t delay_ns;   /* before the first byte of each answer of the embedded origin */
	uint64_t rate_bytes; /* a second, on each connection of the embedded origin; 0: no limit */
	bool pin;            /* threads to CPUs */
	const char *json;    /* file to write, or NULL */
	const char *samples; /* likewise */
	const char *html;    /* likewise */
	const char *svg;     /* likewise */
	const char *path;    /* file which the engines named path-* read, or NULL */
	uint64_t map_memory_bytes; /* pagein_options.memory */
};

/* As the sources and the library want it, where 0 is the default. */
static inline int option_hedge_percent(const struct options *options)
{
	return options->hedge_percent ? (int)options->hedge_percent : -1;
}

/* -EINVAL without a message: there is none of this name. */
int subcommand_find(const char *name, enum subcommand *ret);

const char *subcommand_name(enum subcommand subcommand);
const char *pattern_name(enum pattern pattern);

/*
 * argv[0] is skipped: it is the subcommand's own name, or that of mount.pagein. Options and
 * operands come in any order; what follows "--" is operands; the last of several wins. argv is
 * rearranged, operands first, and the arguments of -o are cut in place, as getsubopt(3) does.
 */
int options_parse(enum subcommand subcommand, int argc, char **argv, struct options *ret);

/* By enum verify. */
extern const char *const verify_modes[];

/* How to call it, every option with its default. */
void options_help(enum subcommand subcommand, FILE *to);

/* The subcommands, one line each. */
void options_overview(FILE *to);
