/*
 * s3_choice.c - see s3_choice.h. Owned by the context that was made with it.
 */
#include "s3_choice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct pagein_s3_options nothing = PAGEIN_S3_OPTIONS_INIT;

static int copy_string(const char *from, const char **ret)
{
	*ret = from ? strdup(from) : NULL;
	return from && !*ret ? -ENOMEM : 0;
}

int s3_choice_copy(const struct pagein_s3_options *from, struct pagein_s3_options *to)
{
	from = from ? from : &nothing;
	to->size = sizeof *to;
	to->no_sign_request = from->no_sign_request;
	to->requester_pays = from->requester_pays;
	if (copy_string(from->profile, &to->profile) < 0 ||
		copy_string(from->region, &to->region) < 0 ||
		copy_string(from->endpoint_url, &to->endpoint_url) < 0 ||
		copy_string(from->addressing_style, &to->addressing_style) < 0)
		return -ENOMEM;
	return 0;
}

void s3_choice_finish(struct pagein_s3_options *choice)
{
	free((char *)choice->profile);
	free((char *)choice->region);
	free((char *)choice->endpoint_url);
	free((char *)choice->addressing_style);
	*choice = (struct pagein_s3_options){0};
}

static bool same_string(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool s3_choice_same(const struct pagein_s3_options *a, const struct pagein_s3_options *b)
{
	a = a ? a : &nothing;
	b = b ? b : &nothing;
	return same_string(a->profile, b->profile) && same_string(a->region, b->region) &&
	       same_string(a->endpoint_url, b->endpoint_url) &&
	       same_string(a->addressing_style, b->addressing_style) &&
	       a->no_sign_request == b->no_sign_request && a->requester_pays == b->requester_pays;
}

struct s3_options s3_choice_for_source(const struct pagein_s3_options *choice)
{
	return (struct s3_options){
		.profile = choice->profile,
		.region = choice->region,
		.endpoint = choice->endpoint_url,
		.addressing = choice->addressing_style,
		.no_sign_request = choice->no_sign_request != 0,
		.requester_pays = choice->requester_pays != 0,
	};
}
