/* script.h - the rules that spoil answers; origin.h has their grammar. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actions.h"

struct script;

/* What the conditions of a rule look at. */
struct script_request {
	const char *path; /* decoded */
	const char *query;
	const char *authorization; /* "": none */
	const char *method;
	bool ranged;
	uint64_t range_start;
	uint64_t now_ns;
};

/* 0, -ENOMEM, or -EINVAL with the line and the reason in error. text NULL: no rules. */
int origin_script_parse(
	const char *text, uint64_t now_ns, struct script **ret, char *error, size_t error_size);
void origin_script_destroy(struct script *script);

bool origin_script_empty(const struct script *script);

/* Merges the actions of all rules that match, and counts the matches. */
void origin_script_match(
	struct script *script, const struct script_request *request, struct actions *ret);

/* A line for each rule: how many requests it was applied to. malloc'd; NULL: out of memory. */
char *origin_script_hits(const struct script *script);
