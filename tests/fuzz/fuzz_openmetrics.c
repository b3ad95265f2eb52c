/*
 * fuzz_openmetrics.c - any bytes as figures, and as the name of an object. What is read lies within
 * the text, has a name and a number, and can be shown; what is written is read back.
 */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "figures.h"
#include "openmetrics.h"
#include "view.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_sample(const struct samples *samples, const struct sample *sample, size_t len)
{
	assert(sample->name > samples->text - 1 && sample->name < samples->text + len);
	assert(*sample->name && isfinite(sample->number));
	assert(!sample->label == !sample->value);
	for (const char *c = sample->value; c && *c; c++)
		assert((unsigned char)*c >= ' ' && *c != 0x7f);
	assert(samples_find(samples, sample->name, sample->value));
}

/* Nothing of it is a command to a terminal, and no line is wider than the screen. */
static void check_view(const struct samples *samples)
{
	const struct view view = {.now = samples,
		.before = samples,
		.seconds = 1,
		.price_request = 400,
		.price_gb = 90000,
		.width = 80,
		.height = 24};
	cleanup_free char *text = NULL;
	size_t length, lines = 0;
	FILE *to = open_memstream(&text, &length);

	assert(to);
	view_print(&view, to);
	fclose(to);
	for (const char *c = text; *c; c++) {
		assert((unsigned char)*c >= ' ' || *c == '\n');
		lines += *c == '\n';
	}
	assert(lines <= view.height);
}

static void check_text(const uint8_t *bytes, size_t len)
{
	struct samples samples;
	unsigned line, lines = 1;
	int err = samples_parse((const char *)bytes, len, &samples, &line);

	for (size_t i = 0; i < len; i++)
		lines += bytes[i] == '\n';
	assert(line >= 1 && line <= lines);
	assert(err == 0 || err == -EINVAL);
	if (err == 0) {
		for (size_t i = 0; i < samples.count; i++)
			check_sample(&samples, &samples.list[i], len);
		check_view(&samples);
	}
	samples_finish(&samples);
}

/* A name, and another that differs from it in its last byte. */
static void check_name(const uint8_t *bytes, size_t len)
{
	cleanup_free struct figures *figures = figures_create(FIGURES_MOUNT);
	cleanup_free char *name = strndup((const char *)bytes, len), *text = NULL;
	struct samples samples;
	unsigned line;
	size_t length;

	assert(figures && name);
	figures_add_object(figures, name, &(struct object_figures){.uses = 1});
	if (*name)
		name[strlen(name) - 1] ^= 1;
	figures_add_object(figures, name, &(struct object_figures){.uses = 1});
	assert(figures_print(figures, &text, &length) == 0);
	assert(samples_parse(text, length, &samples, &line) == 0);
	assert(samples_number(&samples, "pagein_object_uses_total", NULL) >= 1);
	samples_finish(&samples);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	check_text(bytes, len);
	check_name(bytes, len);
	return 0;
}
