/* input.h - a target's bytes, taken as numbers; zeros when there are no more. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *at;
	size_t left;
};

static inline void input_take(struct input *input, void *to, size_t size)
{
	size_t taken = size < input->left ? size : input->left;

	memset(to, 0, size);
	if (taken > 0)
		memcpy(to, input->at, taken);
	input->at += taken;
	input->left -= taken;
}

static inline uint8_t input_byte(struct input *input)
{
	uint8_t byte;

	input_take(input, &byte, sizeof byte);
	return byte;
}

static inline uint16_t input_u16(struct input *input)
{
	uint16_t number;

	input_take(input, &number, sizeof number);
	return number;
}

static inline uint64_t input_u64(struct input *input)
{
	uint64_t number;

	input_take(input, &number, sizeof number);
	return number;
}
