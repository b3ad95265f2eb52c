/*
 * commands.h - the subcommands of `pagein`, one function each: the result is the exit status.
 * Errors were told on stderr, one line each. For the main thread, before there are others; what
 * they print goes through stdout's buffer, which main() flushes.
 */
#pragma once

struct options;

int command_mount(const struct options *options);
int command_umount(const struct options *options);
int command_ls(const struct options *options);
int command_stat(const struct options *options);
int command_cat(const struct options *options);
int command_bench(const struct options *options);
int command_doctor(const struct options *options);
int command_top(const struct options *options);
int command_view(const struct options *options);
