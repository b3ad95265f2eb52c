/*
 * actions.c - reads the right side of a rule, by the table in actions.h. Pure; one thread.
 */
#include "actions.h"

#include <errno.h>
#include <string.h>

#include "units.h"

_Static_assert(ACTION_COUNT <= 64, "actions.given has a bit for each");

enum value_kind { VALUE_FLAG, VALUE_SIZE, VALUE_DURATION, VALUE_TEXT };

static const struct {
	const char *name;
	enum value_kind kind;
} table[ACTION_COUNT] = {
#define X(id, name, kind) [ACTION_##id] = {name, VALUE_##kind},
	ORIGIN_ACTIONS(X)
#undef X
};

static int value_parse(struct actions *actions, enum action action, char *value)
{
	if ((table[action].kind == VALUE_FLAG) != !value)
		return -EINVAL;
	switch (table[action].kind) {
	case VALUE_FLAG:
		return 0;
	case VALUE_SIZE:
		return origin_parse_size(value, &actions->values[action].number);
	case VALUE_DURATION:
		return origin_parse_duration(value, &actions->values[action].number);
	case VALUE_TEXT:
		actions->values[action].text = value;
		return 0;
	}
	return -EINVAL;
}

static int edit_parse(struct actions *actions, const char *name, char *value)
{
	struct field_edit edit = {.kind = EDIT_SET, .name = value, .value = ""};
	char *colon = value ? strchr(value, ':') : NULL;

	if (!strcmp(name, "add-header"))
		edit.kind = EDIT_ADD;
	else if (!strcmp(name, "drop-header"))
		edit.kind = EDIT_DROP;
	else if (strcmp(name, "header") != 0)
		return -ENOENT;
	if (!value || !*value || (edit.kind != EDIT_DROP && !colon))
		return -EINVAL;
	if (actions->edit_count == ORIGIN_EDITS_MAX)
		return -E2BIG;
	if (colon) {
		*colon = '\0';
		edit.value = colon + 1 + strspn(colon + 1, " ");
	}
	actions->edits[actions->edit_count++] = edit;
	return 0;
}

int origin_action_parse(struct actions *actions, const char *name, char *value)
{
	for (unsigned action = 0; action < ACTION_COUNT; action++) {
		if (strcmp(table[action].name, name) != 0)
			continue;
		actions->given |= UINT64_C(1) << action;
		return value_parse(actions, action, value);
	}
	return edit_parse(actions, name, value);
}

void origin_actions_merge(struct actions *actions, const struct actions *other)
{
	for (uint64_t left = other->given; left; left &= left - 1) {
		int action = __builtin_ctzll(left);

		actions->values[action] = other->values[action];
	}
	actions->given |= other->given;
	for (size_t i = 0; i < other->edit_count; i++)
		if (actions->edit_count < ORIGIN_EDITS_MAX)
			actions->edits[actions->edit_count++] = other->edits[i];
}
