/*
 * s3_sso.h - the token that `aws sso login` leaves in ~/.aws/sso/cache, and how it is renewed.
 *
 * Reads and writes that file of some KiB, blocking; any thread, one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3_sso {
	char *file;          /* the token's */
	char *login;         /* what brings a new one, for words: "aws sso login ..." */
	char *role_url;      /* gives keys for the token */
	char *renewal_url;   /* gives another token */
	char *token;         /* fit for a header */
	int64_t expires_s;   /* the token */
	char *renewal;       /* the body that asks for another one; NULL: that can't be had */
	bool may_be_renewed; /* [sso-session]'s may; those of old may not */
};

/*
 * The name of the file below ~/.aws/sso/cache for a session, or for a start URL where there is
 * none: 40 hexadecimal digits and ".json". -ENOMEM
 */
int s3_sso_file(const char *folder, const char *session, char **ret);

/*
 * Reads sso->file. -ENOENT, -EACCES, ...: there is no such file, or it can't be read; -EPROTO: what
 * is in it is no token; -ENOMEM.
 */
int s3_sso_load(struct s3_sso *sso, int64_t now_s);

/*
 * Takes the answer to a renewal: the token is the new one, and so is the file's, where others find
 * it: the old one may be worth nothing any more. A file that can't be written is only logged.
 * -EPROTO: it is no answer, and nothing has changed; -ENOMEM.
 */
int s3_sso_renewed(struct s3_sso *sso, const char *text, size_t len, int64_t now_s);

/* Wipes. A zeroed one is fine. */
void s3_sso_finish(struct s3_sso *sso);
