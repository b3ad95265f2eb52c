/*
 * fuzz_netrc.c - any bytes as a netrc file. What is found in it lies within it, and is the same
 * when it is written anew; what is refused is refused at one of its lines.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"
#include "netrc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static char *word_print(char *to, const char *keyword, const char *word)
{
	to += sprintf(to, "%s \"", keyword);
	for (; *word; word++) {
		if (*word == '\n') {
			to = stpcpy(to, "\\n");
			continue;
		}
		if (*word == '"' || *word == '\\')
			*to++ = '\\';
		*to++ = *word;
	}
	return stpcpy(to, "\" ");
}

static bool same_word(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_again(const struct netrc_entry *entry, size_t len)
{
	cleanup_free char *text = malloc(2 * len + 64);
	char *to = entry->machine ? word_print(text, "machine", entry->machine)
				  : stpcpy(text, "default ");
	const struct netrc_entry *again;
	struct netrc *netrc;
	unsigned line;

	if (entry->login)
		to = word_print(to, "login", entry->login);
	if (entry->password)
		to = word_print(to, "password", entry->password);
	assert(netrc_parse(text, (size_t)(to - text), &netrc, &line) == 0);
	again = netrc_find(netrc, entry->machine ? entry->machine : "x", NULL);
	assert(again && same_word(again->machine, entry->machine));
	assert(same_word(again->login, entry->login) &&
		same_word(again->password, entry->password));
	netrc_destroy(netrc);
}

static void check_find(
	const struct netrc *netrc, const char *machine, const char *login, size_t len)
{
	const struct netrc_entry *entry = netrc_find(netrc, machine, login);

	if (!entry)
		return;
	assert(!login || same_word(entry->login, login));
	assert(!entry->machine || strcasecmp(entry->machine, machine) == 0);
	assert(!entry->login || strlen(entry->login) <= len);
	assert(!entry->password || strlen(entry->password) <= len);
	check_again(entry, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct netrc *netrc;
	unsigned line, lines = 1;
	int err = netrc_parse((const char *)bytes, len, &netrc, &line);

	for (size_t i = 0; i < len; i++)
		lines += bytes[i] == '\n';
	assert(line >= 1 && line <= lines);
	assert(err == 0 || err == -EINVAL);
	if (err < 0)
		return 0;
	check_find(netrc, "127.0.0.1", NULL, len);
	check_find(netrc, "127.0.0.1", "me", len);
	check_find(netrc, "no such machine", NULL, len);
	netrc_destroy(netrc);
	return 0;
}
