/*
 * fuse_questions.h - what fuzz_fuse.c may have the kernel ask, each with numbers and names out of
 * the input: of nodes and handles that the kernel knows (fuse_kernel.h), and nothing where it knows
 * none.
 */
#pragma once

#include "input.h"

#define LONG_KEY "long-0123456789012345678901234567890123456789012345678901234567890123456789"

void questions_begin(struct input *input);

void ask_lookup(void);
void ask_getattr(void);
void ask_open(void);
void ask_release(void);
void ask_read(void);
void ask_names(void);
void ask_forget(void);
void ask_forget_all(void);
void ask_interrupt(void);
void ask_xattr(void);
void ask_anything(void);
void forget_pruned(void);
