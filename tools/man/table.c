/*
 * table.c - the options table as JSON, for what is made of it at build time: the options in the
 * manual pages (page.py) and the completions of shells (../completions/complete.py).
 *
 * Not installed. One thread; whatever fails ends it. A hidden subcommand was rejected: what only
 * the build needs, no user has to carry.
 */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "options_table.h"

static void set(json_t *object, const char *key, json_t *value)
{
	int err = json_object_set_new(object, key, value);

	assert(err == 0);
}

static json_t *string_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *subcommands_of(const struct option_row *row)
{
	json_t *names = json_array();

	for (unsigned i = 0; i < SUBCOMMAND_COUNT; i++)
		if (option_taken(row, (enum subcommand)i))
			json_array_append_new(names, json_string(subcommand_rows[i].name));
	return names;
}

static json_t *choices_of(const struct option_row *row)
{
	json_t *names = json_array();

	for (const char *const *name = row->choices; name && *name; name++)
		json_array_append_new(names, json_string(*name));
	return names;
}

static json_t *option_object(const struct option_row *row)
{
	const char letter[] = {row->letter, '\0'};
	json_t *object = json_object();

	set(object, "name", json_string(row->name));
	set(object, "letter", json_string(letter));
	set(object, "is_list", json_boolean(row->type == OPTION_CHOICES));
	set(object, "in_o", json_boolean(row->in_o));
	set(object, "subcommands", subcommands_of(row));
	set(object, "default", string_or_null(row->value));
	set(object, "argument", string_or_null(row->argument));
	set(object, "help", json_string(row->help));
	set(object, "choices", choices_of(row));
	return object;
}

static json_t *subcommand_object(const struct subcommand_row *row)
{
	json_t *object = json_object();

	set(object, "name", json_string(row->name));
	set(object, "operands", json_string(row->operands));
	set(object, "help", json_string(row->help));
	return object;
}

int main(void)
{
	json_t *table = json_object(), *subcommands = json_array(), *options = json_array();

	for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
		json_array_append_new(subcommands, subcommand_object(&subcommand_rows[i]));
	for (size_t i = 0; i < option_row_count; i++)
		json_array_append_new(options, option_object(&option_rows[i]));
	set(table, "subcommands", subcommands);
	set(table, "options", options);
	if (json_dumpf(table, stdout, JSON_INDENT(1)) < 0 || putchar('\n') < 0 || fclose(stdout))
		return EXIT_FAILURE;
	json_decref(table);
	return EXIT_SUCCESS;
}
