/*
 * fuzz_s3_profile.c - any bytes as a file of profiles, and its values as lines of words. What is
 * accepted must be trimmed and in one piece; what is refused must name its line.
 */
#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "s3_profile.h"
#include "words.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_value(const char *value, size_t max)
{
	struct words words = {0};
	size_t len = strlen(value);
	char *inner = NULL;

	assert(len <= max);
	assert(!strchr(value, '\r'));
	assert(len == 0 || (value[len - 1] != ' ' && value[len - 1] != '\n'));
	assert(value[0] != ' ');
	if (words_split(value, &words) == 0)
		assert(words.list && !words.list[words.count]);
	words_finish(&words);
	assert(s3_nested_get(value, "a", &inner) == 0);
	free(inner);
}

/* From a file it is the same. */
static void check_file(const uint8_t *bytes, size_t len, const struct s3_profiles *parsed)
{
	char error[SOURCE_ERROR_MAX] = "", path[32];
	int fd = memfd_create("profiles", MFD_CLOEXEC);
	static char too_long[2 * PATH_MAX];
	struct s3_profiles profiles;

	log_set_level(LOG_ERROR);
	assert(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	assert(s3_profiles_load(path, "/nonexistent", &profiles, error) == 0 &&
		!profiles.credentials);
	assert(s3_ini_count(profiles.config) == s3_ini_count(parsed->config));
	s3_profiles_finish(&profiles);
	assert(s3_profiles_load("/", path, &profiles, error) == 0 && !profiles.config);
	s3_profiles_finish(&profiles);
	close(fd);
	memset(too_long, 'x', sizeof too_long - 1);
	assert(s3_profiles_load(too_long, path, &profiles, error) == 0 && !profiles.config &&
		!profiles.credentials);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const names[] = {"a", "region", "s3", "aws_access_key_id"};
	char error[SOURCE_ERROR_MAX] = "";
	struct s3_profiles profiles = {0};
	char *endpoint = NULL;

	if (s3_ini_parse((const char *)bytes, len, "FILE", &profiles.config, error) < 0) {
		assert(strncmp(error, "FILE:", 5) == 0 && error[5] >= '1' && error[5] <= '9');
		return 0;
	}
	for (size_t i = 0; i < s3_ini_count(profiles.config); i++)
		for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
			const char *section = s3_ini_section(profiles.config, i);
			const char *value = s3_ini_get(profiles.config, section, names[n]);

			assert(*section);
			if (value)
				check_value(value, len);
		}
	assert(s3_profiles_get_config(&profiles, "a", "region") ==
		s3_profiles_get(&profiles, "a", "region"));
	check_file(bytes, len, &profiles);
	s3_profiles_has(&profiles, "default");
	s3_profiles_get(&profiles, "a", "region");
	s3_profiles_endpoint(&profiles, "default", "s3", &endpoint);
	free(endpoint);
	s3_profiles_finish(&profiles);
	return 0;
}
