/*
 * s3_profile_test.c - profiles as botocore reads them: what is a value, what is an error, and what
 * both files make together. tests/s3/ has random files against Python's own reader.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "s3_profile.h"
#include "words.h"

static char error[SOURCE_ERROR_MAX];

static int parse(const char *text, struct s3_ini **ret)
{
	error[0] = '\0';
	return s3_ini_parse(text, strlen(text), "FILE", ret, error);
}

static struct s3_ini *must_parse(const char *text)
{
	struct s3_ini *ini = NULL;

	if (parse(text, &ini) < 0)
		fail_msg("%s\n%s", error, text);
	return ini;
}

static void values(void **state)
{
	static const struct {
		const char *text, *section, *name, *value; /* NULL: none */
	} table[] = {
		{"[default]\na=b", "default", "a", "b"},
		{"[default]\r\na = b\r\n", "default", "a", "b"},
		{"[default]\ra = b\r", "default", "a", "b"},
		{"\xef\xbb\xbf[default]\na=b\n", "default", "a", "b"},
		{"\n\n  [default]  \n  a  =  b c  \n", "default", "a", "b c"},
		{"[default]\na:b\n", "default", "a", "b"},
		{"[default]\nA_Key = X\n", "default", "a_key", "X"},
		{"[default]\na=x=y:z==\n", "default", "a", "x=y:z=="},
		{"[default]\na=x # y ; z\n", "default", "a", "x # y ; z"},
		{"[default]\n# a=1\n ; a=2\na=3\n", "default", "a", "3"},
		{"[default]\na=\nb=1\n", "default", "a", ""},
		{"[default]\na=", "default", "a", ""},
		{"[default] # mine\na=b\n", "default", "a", "b"},
		{"[a]b]\nc=d\n", "a]b", "c", "d"},
		{"[profile x y]\nc=d\n", "profile x y", "c", "d"},
		/* Lines that go on. */
		{"[s]\na=1\n  2\n\t3\n", "s", "a", "1\n2\n3"},
		{"[s]\na=1\n\n  2\n", "s", "a", "1\n\n2"},
		{"[s]\na=1\n\n\nb=2", "s", "a", "1"},
		{"[s]\na=1\n # no\n  2\n", "s", "a", "1\n2"},
		{"[s]\n  a=1\n  b=2\n", "s", "b", "2"},
		{"[s]\n  a=1\n b=2\n", "s", "b", "2"},
		{"[s]\na=1\n  [t]\nb=2\n", "s", "a", "1\n[t]"},
		{"[s]\na=1\n b=2\n", "s", "b", NULL},
		{"[s]\n a=1\n[t]\n  b=2\n", "t", "b", "2"},
		{"[s]\ns3 =\n  x = 1\n\n  y=2\nz=3\n", "s", "s3", "\nx = 1\n\ny=2"},
		/* Of other sections. */
		{"[s]\na=1\n[t]\na=2\n", "t", "a", "2"},
		{"[s]\na=1\n", "t", "a", NULL},
		{"[s]\na=1\n", "s", "b", NULL},
		{"[DEFAULT]\na=1\n[s]\n", "s", "a", "1"},
		{"[DEFAULT]\na=1\n[s]\na=2\n", "s", "a", "2"},
		{"[DEFAULT]\na=1\n[s]\n[DEFAULT]\nb=2\n", "s", "b", "2"},
		{"[DEFAULT]\na=1\n", "DEFAULT", "a", NULL},
		{"", "s", "a", NULL},
		{"# nothing\n\n", "s", "a", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct s3_ini *ini = must_parse(table[i].text);
		const char *value = s3_ini_get(ini, table[i].section, table[i].name);

		if (!value != !table[i].value || (value && strcmp(value, table[i].value) != 0))
			fail_msg("%s: %s", table[i].text, value ? value : "(none)");
		s3_ini_destroy(ini);
	}
}

static void errors_name_file_and_line(void **state)
{
	static const struct {
		const char *text, *error;
	} table[] = {
		{"a=b\n", "FILE:1: no [section] before it"},
		{"# x\n\n a=b\n", "FILE:3: no [section] before it"},
		{"[s]\nsecret\n", "FILE:2: neither a [section] nor \"name = value\""},
		{"[s]\r\n\r\nsecret\r\n", "FILE:3: neither a [section] nor \"name = value\""},
		{"[s\na=b\n", "FILE:1: no [section] before it"},
		{"[]\n", "FILE:1: no [section] before it"},
		{"[t]\n[]\n", "FILE:2: neither a [section] nor \"name = value\""},
		{"[s]\n= secret\n", "FILE:2: no name before the ="},
		{"[s]\n[s]\n", "FILE:2: this section is there twice"},
		{"[s]\na=1\nA=2\n", "FILE:3: this name is in its section twice"},
		{"[s]\nb=1\ns3 =\n  x = 1\n  secret\nc=2\n",
			"FILE:3: a line of its nested settings is not \"name = value\""},
		{"[s]\ns3 =\n  secret\n",
			"FILE:2: a line of its nested settings is not \"name = value\""},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct s3_ini *ini;

		assert_int_equal(parse(table[i].text, &ini), -EINVAL);
		assert_string_equal(error, table[i].error);
		assert_null(strstr(error, "secret"));
	}
	{
		struct s3_ini *ini;

		assert_int_equal(s3_ini_parse("[s]\na=\0b\n", 10, "FILE", &ini, error), -EINVAL);
		assert_string_equal(error, "FILE:2: a NUL in it");
	}
}

static void long_values_stay_whole(void **state)
{
	const size_t len = 200000;
	cleanup_free char *text = malloc(len + 64);
	struct s3_ini *ini;
	const char *value;

	(void)state;
	assert_non_null(text);
	strcpy(text, "[default]\naws_session_token = ");
	memset(text + strlen(text), 'x', len);
	strcpy(text + 30 + len, "\nregion=r\n");
	ini = must_parse(text);
	value = s3_ini_get(ini, "default", "aws_session_token");
	assert_int_equal(strlen(value), len);
	assert_string_equal(s3_ini_get(ini, "default", "region"), "r");
	s3_ini_destroy(ini);
}

/* Quadratic behaviour would take minutes here; limits say what is too much. */
static void hostile_files_end_soon(void **state)
{
	/* A number comes between the two. */
	static const struct {
		const char *before, *after;
	} lines[] = {{"[", "]\n"}, {"n", "=1\n"}, {" ", "\n"}, {"", "\n"}, {"[", ""}, {"=", ""},
		{"#", "\n"}, {"s", " =\n x=1\n"}};
	const size_t len = S3_FILE_MAX;
	cleanup_free char *text = malloc(len + 64);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < array_len(lines); i++) {
		struct s3_ini *ini = NULL;
		size_t at = (size_t)sprintf(text, "[s]\na=\n");

		for (size_t n = 0; at < len - 32; n++)
			at += (size_t)sprintf(
				text + at, "%s%zu%s", lines[i].before, n, lines[i].after);
		s3_ini_parse(text, at, "FILE", &ini, error);
		s3_ini_destroy(ini);
	}
}

/* ---- both files ---------------------------------------------------------------------------- */

static void profiles_of_both_files(void **state)
{
	struct s3_profiles profiles = {
		.config = must_parse(
			"[profile first]\nregion=r3\n[default]\nregion=r0\n[profile one]\nregion=r1\nx=c\n"
			"[profile \"with space\"]\nregion=r2\n"
			"[one]\nregion=wrong\n[profile default]\nregion=r9\n"
			"[services sv]\ns3 =\n  endpoint_url = http://s3\nsts=\n"
			"  endpoint_url=http://sts\n  endpoint_url = http://last\n"
			"[profile two]\nservices=sv\n[profile three]\nservices=none\n"),
		.credentials = must_parse("[one]\naws_access_key_id=AK\nx=k\n[only]\ny=1\n"),
	};
	char *endpoint;

	(void)state;
	/* Of [default] and [profile default] the last one counts. */
	assert_string_equal(s3_profiles_get(&profiles, "default", "region"), "r9");
	assert_string_equal(s3_profiles_get(&profiles, "first", "region"), "r3");
	assert_string_equal(s3_profiles_get(&profiles, "one", "region"), "r1");
	assert_string_equal(s3_profiles_get(&profiles, "one", "x"), "k");
	assert_string_equal(s3_profiles_get_config(&profiles, "one", "x"), "c");
	assert_null(s3_profiles_get_config(&profiles, "one", "aws_access_key_id"));
	assert_string_equal(s3_profiles_get(&profiles, "with space", "region"), "r2");
	assert_true(s3_profiles_has(&profiles, "only"));
	assert_true(s3_profiles_has(&profiles, "two"));
	assert_false(s3_profiles_has(&profiles, "sv"));
	assert_false(s3_profiles_has(&profiles, "profile one"));

	assert_int_equal(s3_profiles_endpoint(&profiles, "two", "s3", &endpoint), 0);
	assert_string_equal(endpoint, "http://s3");
	free(endpoint);
	assert_int_equal(s3_profiles_endpoint(&profiles, "two", "sts", &endpoint), 0);
	assert_string_equal(endpoint, "http://last");
	free(endpoint);
	assert_int_equal(s3_profiles_endpoint(&profiles, "two", "ec2", &endpoint), 0);
	assert_null(endpoint);
	assert_int_equal(s3_profiles_endpoint(&profiles, "one", "s3", &endpoint), 0);
	assert_null(endpoint);
	assert_int_equal(s3_profiles_endpoint(&profiles, "three", "s3", &endpoint), -ENOENT);
	s3_profiles_finish(&profiles);
}

static void nested_settings(void **state)
{
	static const struct {
		const char *value, *inner, *found;
	} table[] = {
		{"\na=1\nb = 2 # x", "b", "2 # x"},
		{"\nab=1", "a", NULL},
		{"\n\na\t=\t1", "a", "1"},
		{"\na=", "a", ""},
		{"a=1", "a", NULL},
		{"", "a", NULL},
		{NULL, "a", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		char *found;

		assert_int_equal(s3_nested_get(table[i].value, table[i].inner, &found), 0);
		assert_int_equal(!found, !table[i].found);
		if (found)
			assert_string_equal(found, table[i].found);
		free(found);
	}
}

static unsigned warnings;

static void count_warning(enum log_level level, const char *line, void *context)
{
	(void)context;
	if (level == LOG_WARNING && strstr(line, "dir/x"))
		warnings++;
}

static void files_that_are_none(void **state)
{
	char folder[] = "/tmp/pagein-test-XXXXXX", path[64], fifo[64], big[64];
	struct s3_profiles profiles;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/dir/x", folder);
	snprintf(fifo, sizeof fifo, "%s/fifo", folder);
	snprintf(big, sizeof big, "%s/big", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	close(open(big, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(truncate(big, (off_t)S3_FILE_MAX + 1), 0);

	/* Not there, a folder, a FIFO that nobody writes to: as if empty, and nobody waits. */
	assert_int_equal(s3_profiles_load(path, folder, &profiles, error), 0);
	assert_null(profiles.config);
	assert_null(profiles.credentials);
	assert_int_equal(s3_profiles_load(fifo, "", &profiles, error), 0);
	assert_null(profiles.config);
	assert_int_equal(s3_profiles_load(path, big, &profiles, error), -EINVAL);
	assert_non_null(strstr(error, big));

	/* A loop of links may not be read, even by root: that is said once, and passed over. */
	snprintf(path, sizeof path, "%s/dir", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/dir/x", folder);
	assert_int_equal(symlink("x", path), 0);
	log_set_handler(count_warning, NULL);
	assert_int_equal(s3_profiles_load(path, "", &profiles, error), 0);
	log_set_handler(NULL, NULL);
	assert_int_equal(warnings, 1);

	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	unlink(fifo);
	unlink(big);
	rmdir(folder);
}

/* ---- words --------------------------------------------------------------------------------- */

static void words(void **state)
{
	static const struct {
		const char *line, *words; /* each in brackets; NULL: -EINVAL */
	} table[] = {
		{"", ""},
		{"  \t\n", ""},
		{"a b\tc\nd", "[a][b][c][d]"},
		{" a  b ", "[a][b]"},
		{"'a b' \"c d\"", "[a b][c d]"},
		{"a'b'\"c\"d", "[abcd]"},
		{"'' \"\"", "[][]"},
		{"a\\ b \\\"", "[a b][\"]"},
		{"'a\\b'", "[a\\b]"},
		{"\"a\\b\\\"\\\\\"", "[a\\b\"\\]"},
		{"$HOME `x` * # ;", "[$HOME][`x`][*][#][;]"},
		{"'a", NULL},
		{"\"a", NULL},
		{"\"a\\\"", NULL},
		{"a\\", NULL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct words words = {0};
		char joined[64] = "";
		int err = words_split(table[i].line, &words);

		assert_int_equal(err, table[i].words ? 0 : -EINVAL);
		if (err < 0)
			continue;
		for (unsigned n = 0; n < words.count; n++)
			sprintf(joined + strlen(joined), "[%s]", words.list[n]);
		assert_string_equal(joined, table[i].words);
		assert_null(words.list[words.count]);
		words_finish(&words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(errors_name_file_and_line),
		cmocka_unit_test(long_values_stay_whole),
		cmocka_unit_test(hostile_files_end_soon),
		cmocka_unit_test(profiles_of_both_files),
		cmocka_unit_test(nested_settings),
		cmocka_unit_test(files_that_are_none),
		cmocka_unit_test(words),
	};

	return run_group(tests);
}
