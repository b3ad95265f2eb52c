/*
 * main.c - `pagein SUBCOMMAND`: finds the subcommand, has its options parsed, and calls it.
 *
 * Main thread; keeps nothing. Exit status: the subcommand's own, 2 for a command line that can't be
 * understood, 1 when standard output could not be written.
 *
 * Called as mount.pagein it is the helper which mount(8) runs for `mount -t pagein SOURCE DIR`:
 * `mount.pagein SOURCE DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]`. Those letters mean other
 * things than ours (-f: do everything but mount), so they are taken out here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "options.h"
#include "service.h"
#include "url.h"

#define EXIT_USAGE 2

typedef int command_fn(const struct options *options);

static command_fn *const commands[SUBCOMMAND_COUNT] = {
	[SUBCOMMAND_MOUNT] = command_mount,
	[SUBCOMMAND_UMOUNT] = command_umount,
	[SUBCOMMAND_LS] = command_ls,
	[SUBCOMMAND_STAT] = command_stat,
	[SUBCOMMAND_CAT] = command_cat,
	[SUBCOMMAND_BENCH] = command_bench,
	[SUBCOMMAND_DOCTOR] = command_doctor,
	[SUBCOMMAND_TOP] = command_top,
	[SUBCOMMAND_VIEW] = command_view,
};

static int version_print(void)
{
	printf("pagein %s\n%s\n", PAGEIN_VERSION, url_library().everything);
	return EXIT_SUCCESS;
}

static int subcommand_run(enum subcommand subcommand, int argc, char **argv)
{
	struct options options;

	if (options_parse(subcommand, argc, argv, &options) < 0)
		return EXIT_USAGE;
	if (options.version)
		return version_print();
	if (options.help) {
		options_help(subcommand, stdout);
		return EXIT_SUCCESS;
	}
	/* From here on there may be secrets in memory. */
	if (!options.debug)
		service_guard_core();
	return commands[subcommand](&options);
}

/* mount(8) asks for "rw" wherever fstab does not say "ro". */
static char *without_rw(char *words)
{
	char *to = words;

	for (char *word = words; *word;) {
		size_t length = strcspn(word, ",");
		size_t whole = length + (word[length] == ',');

		if (length != 2 || memcmp(word, "rw", 2) != 0) {
			memmove(to, word, whole);
			to += whole;
		}
		word += whole;
	}
	*to = '\0';
	return words;
}

static int mount_helper_run(int argc, char **argv)
{
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];

		if (i > 0 && strcmp(word, "-f") == 0)
			return EXIT_SUCCESS;
		if (i > 0 && strcmp(word, "-N") == 0) {
			fprintf(stderr, "mount.pagein: -N: mount namespaces are not supported\n");
			return EXIT_USAGE;
		}
		if (i > 0 && strcmp(word, "-t") == 0)
			i++;
		else if (i == 0 || word[0] != '-' || strspn(word + 1, "snv") + 1 != strlen(word) ||
			 !word[1])
			argv[kept++] = argv[i];
		if (i > 0 && strcmp(word, "-o") == 0 && i + 1 < argc)
			argv[kept++] = without_rw(argv[++i]);
	}
	argv[kept] = NULL;
	return subcommand_run(SUBCOMMAND_MOUNT, kept, argv);
}

static int word_run(int argc, char **argv)
{
	enum subcommand subcommand;
	const char *word = argv[1];

	if (!word) {
		options_overview(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		options_overview(stdout);
		return EXIT_SUCCESS;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
		return version_print();
	if (subcommand_find(word, &subcommand) < 0) {
		fprintf(stderr, "pagein: %s: no such subcommand; see pagein --help\n", word);
		return EXIT_USAGE;
	}
	return subcommand_run(subcommand, argc - 1, argv + 1);
}

/*
 * A stream that we were started without is a descriptor that the next open() gets: what is printed
 * would go into a connection. So each has something, which can't be used.
 */
static void streams_hold(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
	const char *slash, *name = argc > 0 ? argv[0] : "pagein";
	int status;

	streams_hold();
	slash = strrchr(name, '/');
	if (argc == 0)
		return EXIT_USAGE;
	if (strcmp(slash ? slash + 1 : name, "mount.pagein") == 0)
		status = mount_helper_run(argc, argv);
	else
		status = word_run(argc, argv);
	/* A full disk, or a pipe that nobody reads, shows itself here at the latest. */
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		fprintf(stderr, "pagein: standard output: %s\n", strerror(errno));
	return status ? status : EXIT_FAILURE;
}
