/*
 * commands.h - the subcommands of `pagein`, one function each: the result is the exit status.
 * Errors were told on stderr, one line each. For the main thread, before there are others.
 */
#pragma once

struct options;

int command_mount(const struct options *options);
int command_umount(const struct options *options);
