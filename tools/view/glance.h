/*
 * glance.h - what fits on one screen, without a pager. Main thread, before the terminal is taken.
 */
#pragma once

#include <stdbool.h>

struct opened;
struct pager_look;

/* True: it was so little that it has been printed, on standard output. Waits for the bytes. */
bool glance_print(const struct opened *opened, const struct pager_look *look);
