/*
 * answers.c - what this project says to what a Python test asks: one command a line on stdin, its
 * arguments in hexadecimal so that any byte goes ("-": none), one line of JSON on stdout.
 *
 *    encode TEXT KEEP-SLASH                                    the text encoded
 *    sign METHOD HOST PATH QUERY PAYLOAD TYPE PAYER ACCESS SECRET TOKEN REGION SERVICE TIME
 *                                                              the headers
 *    ini TEXT                                                  {section: {name: value}}, or an
 * error split TEXT                                                the words, or an error
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "s3_profile.h"
#include "s3_sign.h"
#include "words.h"

#define ARGUMENTS_MAX 16

struct argument {
	char *text; /* NULL: none */
	size_t len;
};

static unsigned digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void argument_decode(const char *hex, struct argument *ret)
{
	ret->text = NULL;
	ret->len = strlen(hex) / 2;
	if (strcmp(hex, "-") == 0)
		return;
	ret->text = malloc(ret->len + 1);
	if (!ret->text)
		abort();
	for (size_t i = 0; i < ret->len; i++)
		ret->text[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
	ret->text[ret->len] = '\0';
}

/* Bytes as characters up to U+00FF, which any JSON reader takes. */
static json_t *bytes(const char *text)
{
	cleanup_free char *utf8 = malloc(2 * strlen(text) + 1);
	char *at = utf8;

	if (!utf8)
		abort();
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte >= 0x80)
			*at++ = (char)(0xc0 | byte >> 6);
		*at++ = (char)(byte >= 0x80 ? 0x80 | (byte & 0x3f) : byte);
	}
	*at = '\0';
	return json_string(utf8);
}

static json_t *error_of(int err)
{
	return json_pack("{s:i}", "error", err);
}

static json_t *answer_encode(const struct argument *arguments)
{
	cleanup_free char *out = malloc(3 * arguments[0].len + 1);

	if (!out)
		abort();
	s3_encode(arguments[0].text, arguments[0].len, arguments[1].text != NULL, out);
	return bytes(out);
}

static json_t *answer_sign(const struct argument *arguments)
{
	const struct s3_request request = {
		.method = arguments[0].text,
		.host = arguments[1].text,
		.path = arguments[2].text,
		.query = arguments[3].text,
		.payload = arguments[4].text,
		.content_type = arguments[5].text,
		.requester_pays = arguments[6].text != NULL,
	};
	struct s3_credentials *credentials = NULL;
	cleanup(secret_free_at) char *headers = NULL;
	int err = s3_credentials_create(
		arguments[7].text, arguments[8].text, arguments[9].text, S3_NEVER, &credentials);

	if (err == 0)
		err = s3_sign(&request,
			&(struct s3_scope){.credentials = credentials,
				.region = arguments[10].text,
				.service = arguments[11].text,
				.now_s = strtoll(arguments[12].text, NULL, 10)},
			&headers);
	s3_credentials_destroy(credentials);
	return err < 0 ? error_of(err) : bytes(headers);
}

static json_t *answer_ini(const struct argument *arguments)
{
	/* Names are not listed: the test asks for those that it knows of. */
	static const char *const names[] = {"a", "b", "key", "s3", "x y", "a.b"};
	char error[SOURCE_ERROR_MAX];
	struct s3_ini *ini = NULL;
	json_t *answer;
	int err = s3_ini_parse(arguments[0].text, arguments[0].len, "FILE", &ini, error);

	if (err < 0)
		return error_of(err);
	answer = json_object();
	for (size_t i = 0; i < s3_ini_count(ini); i++) {
		const char *section = s3_ini_section(ini, i);
		json_t *values = json_object();

		for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
			const char *value = s3_ini_get(ini, section, names[n]);

			if (value)
				json_object_set_new(values, names[n], bytes(value));
		}
		json_object_set_new_nocheck(answer, section, values);
	}
	s3_ini_destroy(ini);
	return answer;
}

static json_t *answer_split(const struct argument *arguments)
{
	cleanup(words_finish) struct words words = {0};
	int err = words_split(arguments[0].text, &words);
	json_t *answer;

	if (err < 0)
		return error_of(err);
	answer = json_array();
	for (unsigned i = 0; i < words.count; i++)
		json_array_append_new(answer, bytes(words.list[i]));
	return answer;
}

static json_t *answer_line(char *line)
{
	static const struct {
		const char *name;
		json_t *(*answer)(const struct argument *arguments);
	} commands[] = {
		{"encode", answer_encode},
		{"sign", answer_sign},
		{"ini", answer_ini},
		{"split", answer_split},
	};
	struct argument arguments[ARGUMENTS_MAX] = {{0}};
	char *name = strsep(&line, " "), *hex;
	json_t *answer = NULL;

	for (size_t i = 0; i < ARGUMENTS_MAX && (hex = strsep(&line, " ")); i++)
		argument_decode(hex, &arguments[i]);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			answer = commands[i].answer(arguments);
	for (size_t i = 0; i < ARGUMENTS_MAX; i++)
		free(arguments[i].text);
	return answer;
}

int main(void)
{
	cleanup_free char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, stdin)) > 0) {
		json_t *answer;

		line[strcspn(line, "\n")] = '\0';
		answer = answer_line(line);
		if (!answer)
			return EXIT_FAILURE;
		json_dumpf(answer, stdout, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		putchar('\n');
		fflush(stdout);
		json_decref(answer);
	}
	return EXIT_SUCCESS;
}
