/*
 * world.c - servers and mounts of the table. See world.h.
 *
 * All are processes of their own, and die with this one. Credentials are in a netrc file that every
 * request of both doors obeys, so that any of them may show where it tells them.
 */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"

#define POLL_US 5000
#define POLLS_MAX 8000 /* 40 s: a mount on a busy machine, under a sanitizer */

FILE *file_create(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	return file;
}

/* ---- ports -------------------------------------------------------------------------------- */

/* Listens on a free port of 127.0.0.1. */
static int port_open(uint16_t *ret_port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(listen(fd, 64), 0);
	*ret_port = ntohs(address.sin_port);
	return fd;
}

/* ---- relays ------------------------------------------------------------------------------- */

static void relays_exec(const struct world *world, int in, int out)
{
	char port[8], directory[96];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(port, sizeof port, "%u", world->origin.port);
	snprintf(directory, sizeof directory, "%s/tls", world->base);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execlp("python3", "python3", TLS_PROGRAM, port, directory, (char *)NULL);
	_exit(127);
}

/* False: there is no python3 here, or no openssl. */
static bool relays_start(struct world *world)
{
	int in[2], out[2];
	size_t len = 0;
	char path[96];

	snprintf(path, sizeof path, "%s/tls", world->base);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	fflush(NULL);
	world->relays.pid = fork();
	assert_true(world->relays.pid >= 0);
	if (world->relays.pid == 0)
		relays_exec(world, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	while (!strstr(world->relay_ports, "\n\n")) {
		ssize_t n = read(
			out[0], world->relay_ports + len, sizeof world->relay_ports - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
		world->relay_ports[len] = '\0';
	}
	close(out[0]);
	world->relays_in = in[1];
	/* Their authority is the one to trust, for this process's maps and for the mounts. */
	snprintf(path, sizeof path, "%s/tls/ca.pem", world->base);
	setenv("SSL_CERT_FILE", path, 1);
	if (len > 0)
		return true;
	fprintf(stderr, "skipped: TLS: no python3 with ssl, or no openssl\n");
	return false;
}

void world_turn(struct world *world)
{
	assert_int_equal(write(world->relays_in, "\n", 1), 1);
}

/* ---- what URLs name ----------------------------------------------------------------------- */

static void name_value(const struct world *world, const char *name, char value[96])
{
	const struct {
		const char *name;
		uint16_t port;
	} ports[] = {{"origin", world->origin.port}, {"mute", world->mute_port},
		{"dead", world->dead_port}};
	char key[64], *line;

	/* The origin's own. */
	if (strcmp(name, "n") == 0) {
		strcpy(value, "{n}");
		return;
	}
	for (size_t i = 0; i < array_len(ports); i++)
		if (strcmp(ports[i].name, name) == 0) {
			snprintf(value, 96, "%u", ports[i].port);
			return;
		}
	if (strcmp(name, "root") == 0 || strcmp(name, "base") == 0) {
		snprintf(value, 96, "%s", name[0] == 'r' ? world->origin.root : world->base);
		return;
	}
	snprintf(key, sizeof key, "%s ", name);
	for (line = strstr(world->relay_ports, key);
		line && line != world->relay_ports && line[-1] != '\n';)
		line = strstr(line + 1, key);
	if (!line)
		fail_msg("the world has no {%s}", name);
	snprintf(value, 96, "%.*s", (int)strcspn(line + strlen(key), "\n"), line + strlen(key));
}

void world_fill(const struct world *world, const char *text, char *to, size_t size)
{
	size_t len = 0;

	for (const char *at = text; *at && len + 1 < size; at++) {
		char name[32], value[96];
		int end = 0;

		if (*at == '{' && sscanf(at, "{%31[a-z-]}%n", name, &end) == 1 && end > 0) {
			name_value(world, name, value);
			len += (size_t)snprintf(to + len, size - len, "%s", value);
			at += end - 1;
		} else {
			to[len++] = *at;
		}
		assert_true(len < size);
	}
	to[len] = '\0';
}

/* ---- mounts ------------------------------------------------------------------------------- */

static bool is_mounted(const char *point)
{
	struct stat above, status;
	char parent[128];

	snprintf(parent, sizeof parent, "%s/..", point);
	/* A dead one is there, too: ENOTCONN. */
	return stat(point, &status) < 0
		       ? errno != ENOENT
		       : stat(parent, &above) == 0 && above.st_dev != status.st_dev;
}

static void mount_exec(const struct world *world, const struct mount *mount, const char *source,
	const char *options)
{
	const char *program = getenv("PAGEIN");
	char all[512];
	int log = open(mount->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	/* Unmounts, however this process dies. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(log, STDERR_FILENO);
	snprintf(all, sizeof all, "netrc-file=%s,%s", world->netrc, options);
	execl(program, "pagein", "mount", "-f", source, mount->point, "-o", all, (char *)NULL);
	_exit(127);
}

static void mount_name(const struct world *world, struct mount *mount, const char *name)
{
	snprintf(mount->point, sizeof mount->point, "%s/%s", world->base, name);
	snprintf(mount->log, sizeof mount->log, "%s/%s.log", world->base, name);
	assert_int_equal(mkdir(mount->point, 0755), 0);
}

void mount_start(
	const struct world *world, struct mount *mount, const char *source, const char *options)
{
	int polls = 0;

	fflush(NULL);
	mount->pid = fork();
	assert_true(mount->pid >= 0);
	if (mount->pid == 0)
		mount_exec(world, mount, source, options);
	while (!is_mounted(mount->point)) {
		if (waitpid(mount->pid, NULL, WNOHANG) != 0)
			fail_msg("%s: the mount has ended: see %s", source, mount->log);
		assert_true(polls++ < POLLS_MAX);
		usleep(POLL_US);
	}
}

void mount_stop(struct mount *mount)
{
	int status = 0, polls = 0;

	if (mount->pid <= 0)
		return;
	kill(mount->pid, SIGTERM);
	while (waitpid(mount->pid, &status, WNOHANG) == 0) {
		if (polls++ == POLLS_MAX)
			kill(mount->pid, SIGKILL);
		usleep(POLL_US);
	}
	mount->pid = 0;
	/* The sanitizers have their say by it, too. */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s: the mount ended with %#x", mount->point, (unsigned)status);
}

/* ---- the world ---------------------------------------------------------------------------- */

void world_open(struct world *world)
{
	FILE *file;

	*world = (struct world){0};
	/* Before any thread is started. */
	world->has_names = names_start();
	server_start(&world->origin);
	strcpy(world->base, "/tmp/pagein-hostile-XXXXXX");
	assert_non_null(mkdtemp(world->base));
	snprintf(world->netrc, sizeof world->netrc, "%s/netrc", world->base);
	file = file_create(world->netrc);
	fprintf(file, "machine 127.0.0.1 login reader password " PASSWORD "\n");
	assert_int_equal(fchmod(fileno(file), 0600), 0);
	fclose(file);
	mount_name(world, &world->web, "web");
	mount_name(world, &world->manifest, "manifest");
	mount_name(world, &world->bucket, "bucket");
	mount_name(world, &world->files, "files");
	world->mute = port_open(&world->mute_port);
	close(port_open(&world->dead_port));
	if (!relays_start(world))
		world->relay_ports[0] = '\0';
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void world_close(struct world *world)
{
	mount_stop(&world->web);
	mount_stop(&world->manifest);
	mount_stop(&world->bucket);
	mount_stop(&world->files);
	close(world->mute);
	close(world->relays_in);
	kill(world->relays.pid, SIGKILL);
	waitpid(world->relays.pid, NULL, 0);
	server_stop(&world->origin);
	if (getenv("HOSTILE_KEEP"))
		return;
	nftw(world->base, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
