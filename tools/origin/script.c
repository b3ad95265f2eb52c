/*
 * script.c - parses the rules and finds those which match a request.
 *
 * One thread. The script owns a copy of its text, in which words are terminated and unescaped in
 * place; rules point into it, so the actions of a match are good until the script is replaced.
 * A rule counts the requests that all its other conditions let pass; nth, first, from, every and
 * percent then decide by that number alone, so that a run can be repeated exactly.
 */
#include "script.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "range.h"
#include "units.h"

struct rule {
	const char *path;     /* path=GLOB; NULL: any */
	const char *query;    /* query=GLOB; as it was sent */
	const char *login;    /* authorization=GLOB; without such a field "" */
	const char *method;   /* method=GET */
	bool ranged;          /* range=START-END was given */
	struct range range;   /* the requested range starts in it */
	uint64_t after_ns;    /* after=30s since the script was set */
	uint64_t until_ns;    /* until=60s */
	uint64_t first, from; /* from <= number of the match <= first; nth=N sets both */
	uint64_t every;       /* every=N: matches N, 2N, ... */
	uint64_t per_million; /* percent=12.5 */
	uint64_t seed;        /* seed=N: other numbers for percent */
	uint64_t count;       /* matches so far */
	uint64_t hits;        /* of these, those that it was applied to */
	struct actions actions;
};

struct script {
	char *text;
	uint64_t start_ns;
	size_t count;
	size_t capacity;
	struct rule *rules;
};

/* Conditions: name, then how its value gets into the rule. */
static int parse_path(struct rule *rule, char *value)
{
	rule->path = value;
	return 0;
}

static int parse_query(struct rule *rule, char *value)
{
	rule->query = value;
	return 0;
}

static int parse_authorization(struct rule *rule, char *value)
{
	rule->login = value;
	return 0;
}

static int parse_method(struct rule *rule, char *value)
{
	rule->method = value;
	return 0;
}

static int parse_range(struct rule *rule, char *value)
{
	char *end = strchr(value, '-');
	int err;

	if (!end)
		return -EINVAL;
	*end++ = '\0';
	rule->ranged = true;
	rule->range.end = UINT64_MAX;
	err = origin_parse_size(value, &rule->range.start);
	if (!err && *end)
		err = origin_parse_size(end, &rule->range.end);
	return err;
}

static int parse_after(struct rule *rule, char *value)
{
	return origin_parse_duration(value, &rule->after_ns);
}

static int parse_until(struct rule *rule, char *value)
{
	return origin_parse_duration(value, &rule->until_ns);
}

static int parse_nth(struct rule *rule, char *value)
{
	int err = origin_parse_number(value, &rule->from);

	rule->first = rule->from;
	return err;
}

static int parse_from(struct rule *rule, char *value)
{
	return origin_parse_number(value, &rule->from);
}

static int parse_first(struct rule *rule, char *value)
{
	return origin_parse_number(value, &rule->first);
}

static int parse_every(struct rule *rule, char *value)
{
	int err = origin_parse_number(value, &rule->every);

	return !err && !rule->every ? -EINVAL : err;
}

static int parse_percent(struct rule *rule, char *value)
{
	char *point = strchr(value, '.');
	uint64_t whole, fraction = 0, scale = 1000;
	int err;

	if (point)
		*point++ = '\0';
	err = origin_parse_number(value, &whole);
	for (; !err && point && *point; point++, scale /= 10) {
		if (*point < '0' || *point > '9')
			return -EINVAL;
		fraction += (uint64_t)(*point - '0') * scale;
	}
	if (err || whole > 100)
		return -EINVAL;
	rule->per_million = whole * 10000 + fraction;
	return 0;
}

static int parse_seed(struct rule *rule, char *value)
{
	return origin_parse_number(value, &rule->seed);
}

static const struct {
	const char *name;
	int (*parse)(struct rule *rule, char *value);
} conditions[] = {
	{"path", parse_path},
	{"query", parse_query},
	{"authorization", parse_authorization},
	{"method", parse_method},
	{"range", parse_range},
	{"after", parse_after},
	{"until", parse_until},
	{"nth", parse_nth},
	{"from", parse_from},
	{"first", parse_first},
	{"every", parse_every},
	{"percent", parse_percent},
	{"seed", parse_seed},
};

static int condition_parse(struct rule *rule, const char *name, char *value)
{
	for (size_t i = 0; i < sizeof(conditions) / sizeof(*conditions); i++)
		if (!strcmp(conditions[i].name, name))
			return value ? conditions[i].parse(rule, value) : -EINVAL;
	return -ENOENT;
}

static int hex_pair(const char *text)
{
	unsigned value;
	int end = 0;

	if (sscanf(text, "%2x%n", &value, &end) != 1 || end != 2)
		return -1;
	return (int)value;
}

/* Takes the quotes and escapes out of a value, in place. Returns what follows it. */
static char *unquote(char *value)
{
	char *in = value + 1, *out = value;

	for (; *in && *in != '"'; in++) {
		static const char escapes[] = "r\rn\nt\t";
		const char *known;
		int byte;

		if (*in != '\\' || !in[1]) {
			*out++ = *in;
			continue;
		}
		in++;
		known = strchr(escapes, *in);
		byte = *in == 'x' ? hex_pair(in + 1) : -1;
		if (*in == 'x') {
			if (byte <= 0)
				return NULL;
			*out++ = (char)byte;
			in += 2;
		} else {
			*out++ = known && (known - escapes) % 2 == 0 ? known[1] : *in;
		}
	}
	if (*in != '"')
		return NULL;
	*out = '\0';
	return in + 1;
}

/*
 * The next word of a line: NAME, NAME=VALUE or NAME="VALUE". *stop is the character that ended it,
 * which lies overwritten behind the word: a separator, ':' or the line's end.
 */
static int next_word(char **cursor, char **name, char **value, char *stop)
{
	char *p = *cursor + strspn(*cursor, " \t,\r");

	*name = p;
	*value = NULL;
	p += strcspn(p, " \t,\r:=#");
	if (*p == '=') {
		*p++ = '\0';
		*value = p;
		p = *p == '"' ? unquote(p) : p + strcspn(p, " \t,\r:#");
		if (!p || (*p && !strchr(" \t,\r:#", *p)))
			return -EINVAL;
	}
	*stop = *p == '#' ? '\0' : *p;
	if (*p)
		*p++ = '\0';
	/* A comment ends the line. */
	*cursor = *stop ? p : p + strlen(p);
	return 0;
}

/* 1 for a rule, 0 for an empty line, -errno. *word is what was being read. */
static int rule_parse(char *line, struct rule *rule, const char **word)
{
	bool conditional = true, empty = true;
	char stop = ' ';

	while (stop) {
		char *name, *value;
		int err = next_word(&line, &name, &value, &stop);

		*word = name;
		if (err)
			return err;
		if (*name) {
			empty = false;
			err = conditional ? condition_parse(rule, name, value)
					  : origin_action_parse(&rule->actions, name, value);
			if (err)
				return err;
		}
		if (stop == ':') {
			*word = "a second colon";
			if (!conditional)
				return -EINVAL;
			conditional = empty = false;
		}
	}
	if (empty)
		return 0;
	*word = "no actions";
	return conditional ? -EINVAL : 1;
}

static int script_append(struct script *script, const struct rule *rule)
{
	if (script->count == script->capacity) {
		size_t capacity = script->capacity ? 2 * script->capacity : 8;
		struct rule *rules = reallocarray(script->rules, capacity, sizeof(*rules));

		if (!rules)
			return -ENOMEM;
		script->rules = rules;
		script->capacity = capacity;
	}
	script->rules[script->count++] = *rule;
	return 0;
}

static int lines_parse(struct script *script, char *error, size_t error_size)
{
	char *rest = script->text;

	for (unsigned number = 1; rest; number++) {
		char *line = strsep(&rest, "\n");
		struct rule rule = {
			.until_ns = UINT64_MAX,
			.first = UINT64_MAX,
			.per_million = 1000000,
		};
		const char *word = line;
		int err = rule_parse(line, &rule, &word);

		if (err > 0)
			err = script_append(script, &rule);
		if (err == -ENOMEM)
			return err;
		if (err) {
			snprintf(error, error_size, "line %u: %s: %s", number, word,
				err == -ENOENT ? "unknown word" : strerror(-err));
			return -EINVAL;
		}
	}
	return 0;
}

static void script_destroy(struct script **script)
{
	origin_script_destroy(*script);
}

int origin_script_parse(
	const char *text, uint64_t now_ns, struct script **ret, char *error, size_t error_size)
{
	struct script *script cleanup(script_destroy) = calloc(1, sizeof(*script));
	int err;

	if (!script)
		return -ENOMEM;
	script->start_ns = now_ns;
	script->text = strdup(text ? text : "");
	if (!script->text)
		return -ENOMEM;
	err = lines_parse(script, error, error_size);
	if (err)
		return err;
	*ret = steal_pointer(&script);
	return 0;
}

void origin_script_destroy(struct script *script)
{
	if (!script)
		return;
	free(script->rules);
	free(script->text);
	free(script);
}

bool origin_script_empty(const struct script *script)
{
	return !script->count;
}

static bool rule_admits(const struct rule *rule, const struct script_request *request, uint64_t age)
{
	if (age < rule->after_ns || age >= rule->until_ns)
		return false;
	if (rule->method && strcmp(rule->method, request->method) != 0)
		return false;
	if (rule->ranged && (!request->ranged || request->range_start < rule->range.start ||
				    request->range_start >= rule->range.end))
		return false;
	if (rule->query && fnmatch(rule->query, request->query, 0))
		return false;
	if (rule->login && fnmatch(rule->login, request->authorization, 0))
		return false;
	return !rule->path || !fnmatch(rule->path, request->path, 0);
}

static uint64_t dice(uint64_t seed, uint64_t number)
{
	uint64_t x = (seed << 32) + number + UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static bool rule_counts(struct rule *rule)
{
	uint64_t number = ++rule->count;

	if (number < rule->from || number > rule->first)
		return false;
	if (rule->every && number % rule->every)
		return false;
	return rule->per_million == 1000000 ||
	       dice(rule->seed, number) % 1000000 < rule->per_million;
}

void origin_script_match(
	struct script *script, const struct script_request *request, struct actions *ret)
{
	uint64_t age = request->now_ns - script->start_ns;

	for (size_t i = 0; i < script->count; i++) {
		struct rule *rule = &script->rules[i];

		if (!rule_admits(rule, request, age) || !rule_counts(rule))
			continue;
		rule->hits++;
		origin_actions_merge(ret, &rule->actions);
	}
}

char *origin_script_hits(const struct script *script)
{
	char *text = NULL;
	size_t length = 0;
	FILE *to = open_memstream(&text, &length);

	if (!to)
		return NULL;
	for (size_t i = 0; i < script->count; i++)
		fprintf(to, "%ju\n", (uintmax_t)script->rules[i].hits);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}
