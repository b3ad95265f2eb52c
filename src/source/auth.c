/*
 * auth.c - netrc and token files, and the one place where a secret becomes a header.
 *
 * Owned by an HTTP source; the files are read in auth_create(), which its loop does not wait for.
 * A file's trouble is kept as an errno and words, and told when a request needs the file: a
 * ~/.netrc that is of no use for this server must not be in the way.
 *
 * Cost: a walk over the entries for each probe, listing and opened object; gets have the line in
 * their prepared request. Rejected: reading the files again when a server says 401, which is disk
 * I/O on a loop; CURLOPT_NETRC (see netrc.c); digest authentication, which would need an exchange
 * for each connection.
 */
#include "auth.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "netrc.h"
#include "text.h"

#define SECRET_MAX 4096 /* bytes of a token, or of user and password: within a request's head */

/* A file that was read, or why it was not. */
struct secret_file {
	int err;
	char reason[SOURCE_ERROR_MAX];
};

struct auth {
	struct secret_file netrc_file;
	struct netrc *netrc;
	bool netrc_is_default; /* ... so that its trouble is only that of whom it concerns */
	struct secret_file token_file;
	char *tokens; /* lines of the file */
	struct url token_server;
	bool token_bound; /* a token without a host is for token_server only */
};

/* ---- files -------------------------------------------------------------------------------- */

static int file_refuse(struct secret_file *file, int err, const char *path, const char *reason)
{
	file->err = err;
	snprintf(file->reason, sizeof file->reason, "%.120s: %s", path, reason);
	return err;
}

static int file_check(struct secret_file *file, int fd, const char *path)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return file_refuse(file, -errno, path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return file_refuse(file, -EINVAL, path, "not a file");
	if (status.st_uid != geteuid() && status.st_uid != 0)
		return file_refuse(file, -EACCES, path, "belongs to somebody else");
	if (status.st_mode & 077)
		return file_refuse(
			file, -EACCES, path, "others can read or write it: chmod 600 would help");
	if ((uint64_t)status.st_size > NETRC_BYTES_MAX)
		return file_refuse(file, -EFBIG, path, "too large");
	return 0;
}

/* All of the file, with a NUL behind it. What is wrong with its mode is told beside its text. */
static int file_read(struct secret_file *file, const char *path, char **ret, size_t *ret_length)
{
	/* Not to wait for the other end of a FIFO. */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup(secret_free_at) char *text = NULL;
	size_t length = 0;

	if (fd < 0)
		return file_refuse(file, -errno, path, strerror(errno));
	if (file_check(file, fd, path) < 0 && file->err != -EACCES)
		return file->err;
	text = calloc(1, NETRC_BYTES_MAX + 1);
	if (!text)
		return file_refuse(file, -ENOMEM, path, strerror(ENOMEM));
	while (length < NETRC_BYTES_MAX) {
		ssize_t n = read(fd, text + length, NETRC_BYTES_MAX - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_refuse(file, -errno, path, strerror(errno));
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	*ret = steal_pointer(&text);
	return 0;
}

static void netrc_load(struct auth *auth, const char *path)
{
	cleanup(secret_free_at) char *text = NULL;
	size_t length = 0;
	unsigned line;
	int err;

	if (file_read(&auth->netrc_file, path, &text, &length) < 0)
		return;
	err = netrc_parse(text, length, &auth->netrc, &line);
	explicit_bzero(text, length);
	if (err < 0 && auth->netrc_file.err == 0) {
		char words[64];

		snprintf(words, sizeof words, "line %u: not a netrc file", line);
		file_refuse(&auth->netrc_file, err, path, err == -EINVAL ? words : strerror(-err));
	}
}

static void netrc_load_default(struct auth *auth)
{
	const char *home = getenv("HOME");
	cleanup_free char *path = NULL;

	auth->netrc_is_default = true;
	if (!home || home[0] != '/')
		return;
	if (text_print(&path, "%s/.netrc", home) < 0) {
		file_refuse(&auth->netrc_file, -ENOMEM, "~/.netrc", strerror(ENOMEM));
		return;
	}
	netrc_load(auth, path);
}

static void tokens_load(struct auth *auth, const char *path)
{
	size_t length = 0;

	if (file_read(&auth->token_file, path, &auth->tokens, &length) < 0)
		return;
	if (auth->token_file.err == 0 && strlen(auth->tokens) != length)
		file_refuse(&auth->token_file, -EINVAL, path, "not a text");
}

int auth_create(const struct source_options *options, struct auth **ret)
{
	struct auth *auth = calloc(1, sizeof *auth);

	if (!auth)
		return -ENOMEM;
	if (!options->netrc_file)
		netrc_load_default(auth);
	else if (*options->netrc_file)
		netrc_load(auth, options->netrc_file);
	if (options->token_file && *options->token_file)
		tokens_load(auth, options->token_file);
	if (options->token_server) {
		auth->token_bound = true;
		/* One that is no web server has no tokens: nothing is equal to it. */
		(void)url_parse(options->token_server, &auth->token_server);
	}
	*ret = auth;
	return 0;
}

void auth_destroy(struct auth *auth)
{
	if (!auth)
		return;
	netrc_destroy(auth->netrc);
	secret_free(auth->tokens);
	url_finish(&auth->token_server);
	free(auth);
}

/* ---- headers ------------------------------------------------------------------------------ */

static int refuse(char reason[SOURCE_ERROR_MAX], int err, const char *words)
{
	snprintf(reason, SOURCE_ERROR_MAX, "%s", words);
	return err;
}

static int basic_make(const char *user, const char *password, char **ret, char *reason)
{
	static const char start[] = "Authorization: Basic ";
	cleanup(secret_free_at) char *pair = NULL;
	size_t length;

	if (strchr(user, ':'))
		return refuse(reason, -EINVAL, "a user's name can't have a colon");
	if (strlen(user) + strlen(password) > SECRET_MAX)
		return refuse(reason, -EINVAL, "user and password are too long");
	if (text_print(&pair, "%s:%s", user, password) < 0)
		return -ENOMEM;
	length = strlen(pair);
	*ret = calloc(1, sizeof start + (length + 2) / 3 * 4);
	if (!*ret)
		return -ENOMEM;
	strcpy(*ret, start);
	EVP_EncodeBlock(
		(unsigned char *)*ret + sizeof start - 1, (unsigned char *)pair, (int)length);
	return 0;
}

static int bearer_make(const char *token, size_t length, char **ret, char *reason)
{
	if (length > SECRET_MAX)
		return refuse(reason, -EINVAL, "the token is too long");
	for (size_t i = 0; i < length; i++)
		if (token[i] <= ' ' || token[i] >= 0x7f)
			return refuse(reason, -EINVAL, "not a token");
	return text_print(ret, "Authorization: Bearer %.*s", (int)length, token);
}

/* "host" or "host:port" */
static bool server_is(const struct url *url, const char *text, size_t length)
{
	size_t host = strlen(url->host);
	char port[8];

	if (length < host || strncasecmp(text, url->host, host) != 0)
		return false;
	snprintf(port, sizeof port, ":%u", url->port);
	return length == host ||
	       (length - host == strlen(port) && strncmp(text + host, port, length - host) == 0);
}

static const char blanks[] = " \t\r";

/* Of the lines "TOKEN" and "HOST TOKEN" the first that is for this server. */
static int token_find(const struct auth *auth, const struct url *url, char **ret, char *reason)
{
	const char *line = auth->tokens, *end;

	for (; *line; line = *end ? end + 1 : end) {
		const char *word = line + strspn(line, blanks), *next;
		size_t length = strcspn(word, " \t\r\n");

		end = line + strcspn(line, "\n");
		if (length == 0 || *word == '#')
			continue;
		next = word + length + strspn(word + length, blanks);
		if (next >= end) {
			if (!auth->token_bound ||
				(auth->token_server.host &&
					url_same_server(&auth->token_server, url)))
				return bearer_make(word, length, ret, reason);
		} else if (server_is(url, word, length)) {
			length = (size_t)(end - next);
			while (length > 0 && strchr(blanks, next[length - 1]))
				length--;
			return bearer_make(next, length, ret, reason);
		}
	}
	return 0;
}

static int netrc_login(const struct auth *auth, const struct url *url, char **ret, char *reason)
{
	const struct netrc_entry *entry = NULL;

	if (auth->netrc)
		entry = netrc_find(auth->netrc, url->host, url->user);
	if (auth->netrc_file.err < 0 && (entry || !auth->netrc_is_default))
		return refuse(reason, auth->netrc_file.err, auth->netrc_file.reason);
	if (!entry || !entry->login)
		return 0;
	return basic_make(entry->login, entry->password ? entry->password : "", ret, reason);
}

int auth_find(
	const struct auth *auth, const struct url *url, char **ret, char reason[SOURCE_ERROR_MAX])
{
	int err = 0;

	*ret = NULL;
	strcpy(reason, "out of memory");
	if (url->user && url->password)
		return basic_make(url->user, url->password, ret, reason);
	if (auth->token_file.err < 0)
		return refuse(reason, auth->token_file.err, auth->token_file.reason);
	if (auth->tokens && !url->user)
		err = token_find(auth, url, ret, reason);
	if (err == 0 && !*ret)
		err = netrc_login(auth, url, ret, reason);
	if (err == 0 && !*ret && url->user)
		err = basic_make(url->user, "", ret, reason);
	return err;
}
