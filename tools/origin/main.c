/*
 * main.c - pagein-origin, the server as a program.
 *
 * Prints "listening on ADDRESS:PORT" once it serves; exits with 0 on SIGTERM and SIGINT.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cleanup.h"
#include "origin.h"
#include "units.h"

static struct origin *serving;

static void on_terminate(int number)
{
	(void)number;
	origin_stop(serving);
}

static const struct option long_options[] = {
	{"root", required_argument, NULL, 'r'},
	{"address", required_argument, NULL, 'a'},
	{"port", required_argument, NULL, 'p'},
	{"script", required_argument, NULL, 's'},
	{"index", required_argument, NULL, 'i'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char usage[] =
	"Usage: pagein-origin [OPTION...]\n"
	"\n"
	"Serves files and generated objects by HTTP/1.1, spoiled as a script says.\n"
	"\n"
	"  --root DIR          serve this directory; without it, /generated/SIZE[-SEED] only\n"
	"  --address ADDRESS   listen on this IPv4 or IPv6 address (127.0.0.1)\n"
	"  --port PORT         listen on this port (any)\n"
	"  --script FILE       rules, one a line: \"path=*.bin nth=3 : status=503 delay=10ms\"\n"
	"  --index html|json   how directories are shown (html)\n";

static int read_script(const char *path, char **ret)
{
	size_t size = 0;
	FILE *file = fopen(path, "re");
	ssize_t length;

	if (!file)
		return -errno;
	/* Up to a NUL, which no script has: all of it. */
	length = getdelim(ret, &size, '\0', file);
	fclose(file);
	if (length < 0)
		free(steal_pointer(ret));
	return 0;
}

static int fail(const char *what, const char *object, int err)
{
	fprintf(stderr, "pagein-origin: %s: %s: %s\n", what, object, strerror(-err));
	return EXIT_FAILURE;
}

static int serve(const struct origin_options *options)
{
	const char *address = options->address ? options->address : "127.0.0.1";
	struct sigaction terminate = {.sa_handler = on_terminate};
	struct rlimit files;
	int err;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	err = origin_create(options, &serving);
	if (err)
		return fail("listen", address, err);
	sigaction(SIGTERM, &terminate, NULL);
	sigaction(SIGINT, &terminate, NULL);
	printf(strchr(address, ':') ? "listening on [%s]:%u\n" : "listening on %s:%u\n", address,
		origin_port(serving));
	fflush(stdout);
	err = origin_run(serving);
	origin_destroy(serving);
	return err ? fail("serve", address, err) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct origin_options options = {0};
	char *script cleanup_free = NULL;
	uint64_t number = 0;
	int option, err = 0;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'r':
			options.root = optarg;
			break;
		case 'a':
			options.address = optarg;
			break;
		case 'p':
			err = origin_parse_number(optarg, &number);
			options.port = (uint16_t)number;
			err = !err && number > UINT16_MAX ? -ERANGE : err;
			break;
		case 's':
			err = read_script(optarg, &script);
			options.script = script;
			break;
		case 'i':
			options.index_json = !strcmp(optarg, "json");
			err = options.index_json || !strcmp(optarg, "html") ? 0 : -EINVAL;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return EXIT_FAILURE;
		}
		if (err)
			return fail("option", optarg, err);
	}
	if (optind < argc)
		return fail("argument", argv[optind], -EINVAL);
	return serve(&options);
}
