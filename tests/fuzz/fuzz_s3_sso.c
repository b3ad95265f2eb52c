/*
 * fuzz_s3_sso.c - any bytes as the token that `aws sso login` has left and, behind a NUL, as the
 * answer to its renewal. A token is fit for a header; what renews it is one line; what was renewed
 * is read from the file again as it is.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "s3_sso.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define NOW_S 1700000000

static char folder[] = "/tmp/pagein-fuzz-XXXXXX";
static char *path;

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

static void write_file(const void *bytes, size_t len)
{
	cleanup_fd int fd = -1;

	if (!path) {
		assert(mkdtemp(folder) && s3_sso_file(folder, "session", &path) == 0);
		atexit(remove_folder);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
}

/* 0: it has a token. */
static int load(struct s3_sso *sso)
{
	int err;

	*sso = (struct s3_sso){.file = strdup(path), .may_be_renewed = true};
	err = s3_sso_load(sso, NOW_S);
	assert(err == 0 || err == -EPROTO);
	assert((err == 0) == (sso->token != NULL));
	return err;
}

static void check_token(const struct s3_sso *sso)
{
	assert(*sso->token);
	for (const char *at = sso->token; *at; at++)
		assert(*at > ' ' && *at != 0x7f);
	for (const char *at = sso->renewal; at && *at; at++)
		assert((unsigned char)*at >= ' ');
	assert(!sso->renewal || sso->renewal[0] == '{');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const uint8_t *nul = memchr(bytes, '\0', len);
	size_t first = nul ? (size_t)(nul - bytes) : len;
	struct s3_sso sso, again;
	int err;

	log_set_level(LOG_ERROR);
	write_file(bytes, first);
	if (load(&sso) < 0) {
		s3_sso_finish(&sso);
		return 0;
	}
	check_token(&sso);
	err = nul ? s3_sso_renewed(&sso, (const char *)nul + 1, len - first - 1, NOW_S) : -EPROTO;
	assert(err == 0 || err == -EPROTO);
	check_token(&sso);
	if (err == 0) {
		assert(sso.expires_s > NOW_S);
		assert(load(&again) == 0 && strcmp(again.token, sso.token) == 0);
		assert(again.expires_s == sso.expires_s);
		s3_sso_finish(&again);
	}
	s3_sso_finish(&sso);
	return 0;
}
