/*
 * server.c - starts servers as programs, and talks to the origin's control paths by hand: with a
 * client that shares nothing with the code under test.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"

#define CONNECT_TRIES 1000 /* of 10 ms each */

/* ---- programs ----------------------------------------------------------------------------- */

/* out, err: descriptors for its streams, or -1. The child dies with the thread that calls this. */
static pid_t run_program(char *const argv[], int out, int err)
{
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	signal(SIGPIPE, SIG_DFL);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	if (err >= 0)
		dup2(err, STDERR_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

static void end_program(pid_t *pid, int number)
{
	int status;

	if (*pid <= 0)
		return;
	kill(*pid, number);
	while (waitpid(*pid, &status, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---- the origin --------------------------------------------------------------------------- */

/* Reads "listening on ADDRESS:PORT" from the program, which serves by then. */
static uint16_t read_port(int fd)
{
	char line[128] = "", *colon;
	size_t len = 0;

	while (len < sizeof line - 1 && !strchr(line, '\n')) {
		ssize_t n = read(fd, line + len, sizeof line - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		assert_true(n > 0);
		len += (size_t)n;
		line[len] = '\0';
	}
	colon = strrchr(line, ':');
	assert_non_null(colon);
	return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static void start_origin(struct server *server)
{
	const char *program = getenv("PAGEIN_ORIGIN");
	char port[16];
	int pipe_fds[2];
	char *argv[] = {(char *)(program ? program : ORIGIN_PROGRAM), "--root", server->root,
		"--port", port, NULL};

	snprintf(port, sizeof port, "%u", server->port);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	server->pid = run_program(argv, pipe_fds[1], -1);
	close(pipe_fds[1]);
	server->port = read_port(pipe_fds[0]);
	close(pipe_fds[0]);
}

static void make_root(struct server *server)
{
	*server = (struct server){0};
	strcpy(server->root, "/tmp/pagein-test-XXXXXX");
	assert_non_null(mkdtemp(server->root));
	/* nginx's workers are somebody else when it is started by root. */
	assert_int_equal(chmod(server->root, 0755), 0);
}

void server_start(struct server *server)
{
	make_root(server);
	start_origin(server);
}

void server_kill(struct server *server)
{
	end_program(&server->pid, SIGKILL);
}

void server_restart(struct server *server)
{
	uint16_t port = server->port;

	assert_int_equal(server->pid, 0);
	start_origin(server);
	assert_int_equal(server->port, port);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void server_stop(struct server *server)
{
	end_program(&server->pid, SIGTERM);
	if (server->root[0])
		nftw(server->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	server->root[0] = '\0';
}

/* ---- foreign ones ------------------------------------------------------------------------- */

/* %1$s: the directory; %2$u: the port. What a server writes is in .server, which none shows. */
static const char nginx_conf[] =
	"daemon off;\nmaster_process off;\npid %1$s/.server/pid;\n"
	"error_log %1$s/.server/error.log;\n"
	"events { worker_connections 512; }\n"
	"http {\n"
	"	access_log %1$s/.server/access.log;\n"
	"	client_body_temp_path %1$s/.server/a;\n	proxy_temp_path %1$s/.server/b;\n"
	"	fastcgi_temp_path %1$s/.server/c;\n	uwsgi_temp_path %1$s/.server/d;\n"
	"	scgi_temp_path %1$s/.server/e;\n"
	"	keepalive_requests 1000000;\n"
	"	server {\n"
	"		listen 127.0.0.1:%2$u;\n		root %1$s;\n"
	"		autoindex on;\n"
	"		location /json/ { autoindex_format json; alias %1$s/; }\n"
	"		location /rounded/ { autoindex_exact_size off; alias %1$s/; }\n"
	"		location /moved/ { return 302 /$arg_to; }\n"
	"		location /loop { return 302 /loop; }\n"
	"		location /forbidden { return 403; }\n"
	"		location /noranges/ { max_ranges 0; alias %1$s/; }\n"
	"		location /short/ { keepalive_requests 1; alias %1$s/; }\n"
	/* Credentials: user:secret, or the token t0ken. */
	"		location /basic/ {\n"
	"			if ($http_authorization != \"Basic dXNlcjpzZWNyZXQ=\") { return 401; }\n"
	"			alias %1$s/;\n"
	"		}\n"
	"		location /bearer/ {\n"
	"			if ($http_authorization != \"Bearer t0ken\") { return 401; }\n"
	"			alias %1$s/;\n"
	"		}\n"
	/* By the other name of this host to who shall not be told them; and back. */
	"		location /away/ { return 302 http://localhost:%2$u/open/$arg_to; }\n"
	"		location /home/ { return 302 http://127.0.0.1:%2$u/basic/$arg_to; }\n"
	"		location /open/ {\n"
	"			if ($http_authorization) { return 400; }\n"
	"			alias %1$s/;\n"
	"		}\n"
	"		location /.server { return 404; }\n"
	"	}\n"
	"}\n";

static const char nginx_tls_conf[] =
	"daemon off;\nmaster_process off;\npid %1$s/.server/pid;\n"
	"error_log %1$s/.server/error.log;\nevents {}\nhttp {\n	access_log off;\n"
	"	client_body_temp_path %1$s/.server/a;\n	proxy_temp_path %1$s/.server/b;\n"
	"	fastcgi_temp_path %1$s/.server/c;\n	uwsgi_temp_path %1$s/.server/d;\n"
	"	scgi_temp_path %1$s/.server/e;\n"
	"	server {\n		listen 127.0.0.1:%2$u ssl;\n		root %1$s;\n"
	"		ssl_certificate %1$s/.server/certificate;\n"
	"		ssl_certificate_key %1$s/.server/key;\n"
	"		location /down { return 302 http://127.0.0.1:%2$u/data; }\n"
	"		location /same { return 302 /data; }\n"
	"		location /.server { return 404; }\n	}\n}\n";

static const char apache2_conf[] =
	"ServerRoot %1$s/.server\nListen 127.0.0.1:%2$u\nServerName 127.0.0.1\n"
	"PidFile %1$s/.server/pid\nErrorLog %1$s/.server/error.log\n"
	"DefaultRuntimeDir %1$s/.server\nDavLockDB %1$s/.server/lock\n"
	"User nobody\nGroup nogroup\n"
	"LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n"
	"LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n"
	"LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so\n"
	"LoadModule autoindex_module /usr/lib/apache2/modules/mod_autoindex.so\n"
	"LoadModule dav_module /usr/lib/apache2/modules/mod_dav.so\n"
	"LoadModule dav_fs_module /usr/lib/apache2/modules/mod_dav_fs.so\n"
	"DocumentRoot %1$s\n"
	"<Directory %1$s>\nOptions Indexes\nIndexIgnore .server\nRequire all granted\n</Directory>\n"
	"Alias /fancy/ %1$s/\nAlias /table/ %1$s/\nAlias /dav/ %1$s/\n"
	"<Location /fancy/>\nIndexOptions FancyIndexing\n</Location>\n"
	"<Location /table/>\nIndexOptions FancyIndexing HTMLTable\n</Location>\n"
	"<Location /dav/>\nDav On\nOptions None\n</Location>\n";

static const char lighttpd_conf[] =
	"server.document-root = \"%1$s\"\nserver.port = %2$u\nserver.bind = \"127.0.0.1\"\n"
	"server.errorlog = \"%1$s/.server/error.log\"\n"
	"server.modules = (\"mod_alias\", \"mod_dirlisting\", \"mod_webdav\")\n"
	"dir-listing.activate = \"enable\"\n"
	"alias.url = (\"/dav/\" => \"%1$s/\")\n"
	"$HTTP[\"url\"] =~ \"^/dav/\" {\n"
	"	webdav.activate = \"enable\"\n	webdav.is-readonly = \"enable\"\n"
	"	dir-listing.activate = \"disable\"\n}\n"
	"mimetype.assign = (\"\" => \"application/octet-stream\")\n";

static const char caddy_conf[] =
	"{\n	admin off\n	auto_https off\n"
	"	log {\n		output file %1$s/.server/error.log\n	}\n}\n"
	"http://127.0.0.1:%2$u {\n	bind 127.0.0.1\n	root * %1$s\n"
	"	file_server browse {\n		hide %1$s/.server\n	}\n}\n";

struct foreign_row {
	const char *name, *program;
	const char *conf;         /* NULL: it needs none */
	const char *arguments[8]; /* with "CONF" and the like for what is known only then */
};

static const struct foreign_row foreign_rows[FOREIGN_COUNT] = {
	[NGINX] = {"nginx", "/usr/sbin/nginx", nginx_conf, {"-e", "LOG", "-c", "CONF"}},
	[NGINX_TLS] = {"nginx", "/usr/sbin/nginx", nginx_tls_conf, {"-e", "LOG", "-c", "CONF"}},
	[APACHE2] = {"apache2", "/usr/sbin/apache2", apache2_conf, {"-X", "-f", "CONF"}},
	[LIGHTTPD] = {"lighttpd", "/usr/sbin/lighttpd", lighttpd_conf, {"-D", "-f", "CONF"}},
	[CADDY] = {"caddy", "/usr/bin/caddy", caddy_conf,
		{"run", "--config", "CONF", "--adapter", "caddyfile"}},
	[PYTHON] = {"python", "/usr/bin/python3", NULL,
		{"-m", "http.server", "PORT", "--bind", "127.0.0.1", "--directory", "ROOT"}},
};

const char *foreign_name(enum foreign which)
{
	return foreign_rows[which].name;
}

static uint16_t free_port(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

/* What server_start_foreign() gives it: one of the constants above. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void write_conf(const struct server *server, const char *conf)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof path, "%s/.server", server->root);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(mkdir(path, 0755), 0);
	/* apache2's workers are somebody else, too, and write there. */
	assert_int_equal(chmod(path, 0777), 0);
	snprintf(path, sizeof path, "%s/.server/conf", server->root);
	file = fopen(path, "we");
	assert_non_null(file);
	if (conf)
		fprintf(file, conf, server->root, server->port);
	fclose(file);
}

static void make_certificate(const struct server *server)
{
	char certificate[128], key[128];
	char *argv[] = {"/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
		NULL};
	cleanup_fd int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int status;

	snprintf(certificate, sizeof certificate, "%s/.server/certificate", server->root);
	snprintf(key, sizeof key, "%s/.server/key", server->root);
	assert_int_not_equal(waitpid(run_program(argv, null, null), &status, 0), -1);
	assert_int_equal(status, 0);
}

static pid_t run_foreign(const struct server *server, const struct foreign_row *row)
{
	char conf[128], log[128], port[8];
	const struct {
		const char *word, *value;
	} words[] = {{"CONF", conf}, {"LOG", log}, {"PORT", port}, {"ROOT", server->root}};
	char *argv[array_len(row->arguments) + 2] = {(char *)row->program};
	cleanup_fd int out = -1;

	snprintf(conf, sizeof conf, "%s/.server/conf", server->root);
	snprintf(log, sizeof log, "%s/.server/error.log", server->root);
	out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	snprintf(port, sizeof port, "%u", server->port);
	for (size_t i = 0; i < array_len(row->arguments) && row->arguments[i]; i++) {
		argv[i + 1] = (char *)row->arguments[i];
		for (size_t j = 0; j < array_len(words); j++)
			if (strcmp(row->arguments[i], words[j].word) == 0)
				argv[i + 1] = (char *)words[j].value;
	}
	return run_program(argv, out, out);
}

/* A descriptor of a connection to it, or -1: it has ended. */
static int wait_for_foreign(struct server *server)
{
	int fd = -1;

	for (int i = 0; i < CONNECT_TRIES && fd < 0; i++) {
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
			server->pid = 0;
			return -1;
		}
		fd = connect_to(server->port);
		if (fd < 0)
			usleep(10000);
	}
	return fd;
}

bool server_start_foreign(struct server *server, enum foreign which)
{
	const struct foreign_row *row = &foreign_rows[which];
	int fd = -1;

	if (access(row->program, X_OK) != 0) {
		fprintf(stderr, "skipped: no %s\n", row->program);
		return false;
	}
	make_root(server);
	/* Between free_port() and the server's bind another may take it: then with the next one. */
	for (int attempt = 0; attempt < 5 && fd < 0; attempt++) {
		server->port = free_port();
		write_conf(server, row->conf);
		if (which == NGINX_TLS)
			make_certificate(server);
		server->pid = run_foreign(server, row);
		fd = wait_for_foreign(server);
	}
	assert_true(fd >= 0);
	close(fd);
	return true;
}

bool server_start_nginx(struct server *server)
{
	return server_start_foreign(server, NGINX);
}

/* ---- what it is asked --------------------------------------------------------------------- */

const char *server_url(const struct server *server, const char *path)
{
	static char urls[8][512];
	static unsigned next;
	char *url = urls[next++ % array_len(urls)];

	snprintf(url, sizeof *urls, "http://127.0.0.1:%u/%s", server->port, path);
	return url;
}

/* One request on a connection of its own; the whole answer. */
static void control(const struct server *server, const char *method, const char *path,
	const char *body, char *answer, size_t max)
{
	cleanup_fd int fd = connect_to(server->port);
	cleanup_free char *request = NULL;
	size_t len = 0;
	int request_len = asprintf(&request,
		"%s /.origin/%s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		method, path, strlen(body), body);

	assert_true(fd >= 0 && request_len > 0);
	assert_int_equal(send(fd, request, (size_t)request_len, MSG_NOSIGNAL), request_len);
	for (;;) {
		ssize_t n = recv(fd, answer + len, max - 1 - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	answer[len] = '\0';
}

void server_script(const struct server *server, const char *rules)
{
	char answer[4096];

	control(server, "PUT", "script", rules, answer, sizeof answer);
	if (!strstr(answer, " 204 "))
		fail_msg("the origin refuses the script: %.500s\n%.400s",
			strstr(answer, "\r\n\r\n"), rules);
}

uint64_t server_count(const struct server *server, const char *name)
{
	char answer[4096], key[64], *found;

	control(server, "GET", "stats", "", answer, sizeof answer);
	snprintf(key, sizeof key, "\"%s\": ", name);
	found = strstr(answer, key);
	assert_non_null(found);
	return strtoull(found + strlen(key), NULL, 10);
}

char *server_text(const struct server *server, const char *name)
{
	size_t max = (size_t)1 << 20;
	char *answer = malloc(max), *body;

	assert_non_null(answer);
	control(server, "GET", name, "", answer, max);
	body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	memmove(answer, body + 4, strlen(body + 4) + 1);
	return answer;
}

void server_reset_counts(const struct server *server)
{
	char answer[4096];

	control(server, "PUT", "reset", "", answer, sizeof answer);
	assert_non_null(strstr(answer, " 204 "));
}

void server_rule_counts(const struct server *server, uint64_t *ret, size_t max)
{
	char *text = server_text(server, "rules"), *at = text;

	for (size_t i = 0; i < max; i++) {
		char *number = at;

		ret[i] = strtoull(number, &at, 10);
		assert_ptr_not_equal(at, number);
	}
	free(text);
}
