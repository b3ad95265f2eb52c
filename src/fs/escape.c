/*
 * escape.c - see escape.h. Pure functions on the caller's buffers; any thread; linear.
 *
 * A part is read in units: a character that stays, or bytes that can't be shown, which become hex.
 * Units are never cut, so that a long name is cut between characters; hex that is cut is two
 * groups.
 *
 * E1 a name in the making ends with '}' whenever its last unit was hex: more hex goes before it
 * E2 what a name holds when it is cut is at most NAME_MAX - strlen("%{+}"), and at least one unit
 *
 * Rejected: "%XX", as in URLs (keys that were made of URLs or partitions have it in them, and every
 * such name would change); one of Unicode's look-alikes (nobody can type it); a hash at the end of
 * long names (nobody can go back).
 */
#include "escape.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "utf8.h"

#define MORE "%{+}"
#define OBJECT "%{object}"
#define EMPTY "%{}"

/* ---- units -------------------------------------------------------------------------------- */

struct unit {
	size_t length;
	bool hex;
};

static struct unit unit_read(const char *bytes, size_t left)
{
	const unsigned char *at = (const unsigned char *)bytes;
	uint32_t character;
	size_t length;

	if (*at < 0x80)
		return (struct unit){1, *at < ' ' || *at == 0x7f || *at == '/' ||
						(*at == '%' && left > 1 && at[1] == '{')};
	length = utf8_read(at, left, &character);
	if (length == 0)
		return (struct unit){1, true};
	return (struct unit){length, character < 0xa0}; /* C1: control characters, too */
}

static bool is_dots(const char *bytes, size_t length)
{
	return (length == 1 || length == 2) && memcmp(bytes, "..", length) == 0;
}

bool escape_is_needed(const char *bytes, size_t length)
{
	if (length == 0 || length > NAME_MAX || is_dots(bytes, length))
		return true;
	for (size_t at = 0; at < length;) {
		struct unit unit = unit_read(bytes + at, length - at);

		if (unit.hex)
			return true;
		at += unit.length;
	}
	return false;
}

/* ---- names -------------------------------------------------------------------------------- */

struct name {
	char *text;
	size_t used;
	bool in_hex;
};

static size_t unit_cost(const struct name *name, struct unit unit)
{
	if (!unit.hex)
		return unit.length;
	return 2 * unit.length + (name->in_hex ? 0 : strlen("%{}"));
}

static void name_add(struct name *name, const char *text)
{
	size_t length = strlen(text);

	assert(name->used + length <= NAME_MAX);
	memcpy(name->text + name->used, text, length);
	name->used += length;
}

static void name_add_unit(struct name *name, const char *bytes, struct unit unit)
{
	static const char digits[] = "0123456789abcdef";

	assert(name->used + unit_cost(name, unit) <= NAME_MAX);
	if (!unit.hex) {
		memcpy(name->text + name->used, bytes, unit.length);
		name->used += unit.length;
		name->in_hex = false;
		return;
	}
	if (name->in_hex)
		name->used--; /* E1 */
	else
		name_add(name, "%{");
	for (size_t i = 0; i < unit.length; i++) {
		name->text[name->used++] = digits[(unsigned char)bytes[i] >> 4];
		name->text[name->used++] = digits[(unsigned char)bytes[i] & 15];
	}
	name->text[name->used++] = '}';
	name->in_hex = true;
}

/* Back to where it was, and the rest is in another one. */
static void name_cut(struct name *name, struct name to)
{
	assert(to.used > 0);
	*name = to;
	if (name->in_hex)
		name->text[name->used - 1] = '}';
	name_add(name, MORE);
}

bool escape_next(struct escape *escape, char text[NAME_MAX + 1])
{
	size_t end = escape->is_object ? strlen(OBJECT) : 0;
	bool dots = is_dots(escape->bytes, escape->length);
	struct name name = {.text = text}, cut = name;
	size_t at = escape->at;

	if (escape->done)
		return false;
	while (at < escape->length) {
		struct unit unit = unit_read(escape->bytes + at, escape->length - at);

		unit.hex |= dots || (escape->is_reserved && at == 0);
		if (name.used + unit_cost(&name, unit) > NAME_MAX)
			break;
		name_add_unit(&name, escape->bytes + at, unit);
		at += unit.length;
		if (name.used <= NAME_MAX - strlen(MORE)) {
			cut = name; /* E2 */
			escape->at = at;
		}
	}
	escape->done = at == escape->length && name.used + end <= NAME_MAX;
	if (escape->done) {
		escape->at = at;
		if (escape->length == 0)
			name_add(&name, EMPTY);
		if (escape->is_object)
			name_add(&name, OBJECT);
	} else {
		name_cut(&name, cut);
	}
	text[name.used] = '\0';
	return true;
}
