/*
 * secret.h - memory that holds a secret is wiped before it is given back. Any thread.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

/* NULL is fine. */
static inline void secret_free(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* For cleanup(). */
static inline void secret_free_at(char **secret)
{
	secret_free(*secret);
}
