/* html.h - text of others in a page of ours. Any thread. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* What means something in HTML, attributes included, as what it shows. Errors are the stream's. */
void html_put(FILE *out, const char *text, size_t len);
