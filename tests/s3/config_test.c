/*
 * config_test.c - the settings that are no secrets: which of their places counts, and what is
 * refused.
 */
#include "fixture.h"

#include <errno.h>

#include "cleanup.h"

static const char both[] =
	"[default]\nregion=r-file\nendpoint_url=http://file\nca_bundle=/file.pem\n"
	"use_fips_endpoint=true\nuse_dualstack_endpoint=TRUE\n"
	"s3 =\n  addressing_style = path\n  use_accelerate_endpoint = true\n"
	"[profile sv]\nservices = mine\nendpoint_url=http://file\n"
	"s3 =\n  addressing_style = virtual\n  use_dualstack_endpoint = true\n"
	"[services mine]\ns3 =\n  endpoint_url = http://service\n"
	"[profile lost]\nservices = nobody\n";

#define FIELD(name) offsetof(struct s3_config, name)

/* One text field of the config, in one world. */
static void which_place_counts(void **state)
{
	static const struct {
		const char *variables;
		struct s3_options options;
		size_t field;
		const char *expected;
	} table[] = {
		{"", {0}, FIELD(profile), "default"},
		{"AWS_PROFILE=sv", {0}, FIELD(profile), "sv"},
		{"AWS_PROFILE=lost", {.profile = "sv"}, FIELD(profile), "sv"},
		{"", {0}, FIELD(region), "r-file"},
		{"AWS_DEFAULT_REGION=d", {0}, FIELD(region), "d"},
		{"AWS_DEFAULT_REGION=d AWS_REGION=e", {0}, FIELD(region), "e"},
		{"AWS_REGION=e", {.region = "o"}, FIELD(region), "o"},
		{"", {.profile = "sv"}, FIELD(region), NULL},
		{"", {0}, FIELD(endpoint), "http://file"},
		{"", {.profile = "sv"}, FIELD(endpoint), "http://service"},
		{"AWS_ENDPOINT_URL=http://all", {.profile = "sv"}, FIELD(endpoint), "http://all"},
		{"AWS_ENDPOINT_URL=http://all AWS_ENDPOINT_URL_S3=https://s3", {0}, FIELD(endpoint),
			"https://s3"},
		{"AWS_ENDPOINT_URL_S3=https://s3", {.endpoint = "http://o/p"}, FIELD(endpoint),
			"http://o/p"},
		{"AWS_ENDPOINT_URL_S3=https://s3 AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true", {0},
			FIELD(endpoint), NULL},
		{"", {0}, FIELD(sts_endpoint), "http://file"},
		{"", {.profile = "sv"}, FIELD(sts_endpoint), "http://file"},
		{"AWS_ENDPOINT_URL_STS=http://sts", {.endpoint = "http://o"}, FIELD(sts_endpoint),
			"http://sts"},
		{"", {0}, FIELD(ca_bundle), "/file.pem"},
		{"AWS_CA_BUNDLE=/env.pem", {0}, FIELD(ca_bundle), "/env.pem"},
		{"AWS_CONFIG_FILE=/nowhere", {0}, FIELD(region), NULL},
		{"AWS_CONFIG_FILE=~/other", {0}, FIELD(region), "r-other"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct s3_config *config = NULL;
		char error[SOURCE_ERROR_MAX];
		struct world world;
		const char *found;

		world_make(&world);
		world_file(&world, "~/.aws/config", both);
		world_file(&world, "other", "[default]\nregion=r-other\n");
		world_variables(&world, table[i].variables);
		if (s3_config_load(&table[i].options, &config, error) < 0)
			fail_msg("%zu: %s", i, error);
		found = *(char **)((char *)config + table[i].field);
		if (!found != !table[i].expected ||
			(found && strcmp(found, table[i].expected) != 0))
			fail_msg("%zu: %s, not %s", i, found, table[i].expected);
		s3_config_destroy(config);
		world_finish(&world);
	}
}

static void flags(void **state)
{
	struct s3_config *config;
	char error[SOURCE_ERROR_MAX];
	struct world world;

	(void)state;
	world_make(&world);
	world_file(&world, "~/.aws/config", both);
	config = world_config(NULL);
	assert_int_equal(config->addressing, S3_ADDRESSING_PATH);
	assert_true(config->use_fips);
	assert_true(config->use_dualstack);
	assert_true(config->use_accelerate);
	assert_false(config->anonymous);
	assert_false(config->requester_pays);
	s3_config_destroy(config);
	config = world_config("sv");
	assert_int_equal(config->addressing, S3_ADDRESSING_VIRTUAL);
	assert_false(config->use_fips);
	assert_true(config->use_dualstack);
	s3_config_destroy(config);
	world_variables(&world, "AWS_USE_DUALSTACK_ENDPOINT=false AWS_USE_FIPS_ENDPOINT=true");
	config = world_config("sv");
	assert_false(config->use_dualstack);
	assert_true(config->use_fips);
	s3_config_destroy(config);
	assert_int_equal(s3_config_load(&(struct s3_options){.no_sign_request = true,
						.requester_pays = true,
						.addressing = "auto"},
				 &config, error),
		0);
	assert_int_equal(config->addressing, S3_ADDRESSING_AUTO);
	assert_true(config->anonymous);
	assert_true(config->requester_pays);
	s3_config_destroy(config);
	world_finish(&world);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *variables, *config;
		struct s3_options options;
		const char *expected;
	} table[] = {
		{"AWS_PROFILE=p", "", {0}, "profile p: neither in "},
		{"", "", {.profile = "default"}, "profile default: neither in "},
		{"", "[default]\nservices=s\n", {0},
			"profile default: its [services ...] is not in "},
		{"", "[default]\nsecret\n", {0}, ".aws/config:2: neither a [section] nor"},
		{"AWS_REGION=e/../x", "", {0}, "region: e/../x: not a region's name"},
		{"", "[default]\nregion=\n", {0}, "region: : not a region's name"},
		{"AWS_ENDPOINT_URL=ftp://user:secret@x", "", {0}, "s3 endpoint: not an http://"},
		{"AWS_ENDPOINT_URL_STS=x", "", {0}, "sts endpoint: not an http://"},
		{"", "", {.endpoint = "minio:9000"}, "s3 endpoint: not an http://"},
		{"", "[default]\ns3 =\n  addressing_style = odd\n", {0},
			"addressing style: odd: not auto, path or virtual"},
		{"", "", {.addressing = "odd"}, "addressing style: odd: not auto, path or virtual"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct s3_config *config = NULL;
		char error[SOURCE_ERROR_MAX] = "";
		struct world world;

		world_make(&world);
		world_file(&world, "~/.aws/config", table[i].config);
		world_variables(&world, table[i].variables);
		assert_int_equal(s3_config_load(&table[i].options, &config, error), -EINVAL);
		if (!strstr(error, table[i].expected))
			fail_msg("%s; not %s", error, table[i].expected);
		assert_null(strstr(error, "secret"));
		assert_null(config);
		world_finish(&world);
	}
}

/* As from fstab: no HOME; the user's own is found all the same, or at least nothing fails. */
static void no_home(void **state)
{
	struct s3_config *config;
	struct world world;

	(void)state;
	world_make(&world);
	unsetenv("HOME");
	world_variables(&world, "AWS_CONFIG_FILE=/nowhere AWS_SHARED_CREDENTIALS_FILE=/nowhere");
	config = world_config(NULL);
	assert_null(config->region);
	s3_config_destroy(config);
	world_finish(&world);
}

static void names_of_aws_servers(void **state)
{
	(void)state;
	assert_string_equal(s3_dns_suffix("eu-west-1"), "amazonaws.com");
	assert_string_equal(s3_dns_suffix("us-gov-west-1"), "amazonaws.com");
	assert_string_equal(s3_dns_suffix("cn-north-1"), "amazonaws.com.cn");
	assert_string_equal(s3_dns_suffix("us-iso-east-1"), "c2s.ic.gov");
	assert_string_equal(s3_dns_suffix("us-isob-east-1"), "sc2s.sgov.gov");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(which_place_counts),
		cmocka_unit_test(flags),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(no_home),
		cmocka_unit_test(names_of_aws_servers),
	};

	return run_group(tests);
}
