/*
 * status.c - name, version, offset, requests, bytes, latency, as they fit. Pure.
 */
#include "status.h"

#include <stdio.h>
#include <string.h>

#define FIELDS 8

char *status_bytes(uint64_t bytes, char to[16])
{
	static const char units[] = "KMGTPE";
	uint64_t unit = 1;
	int i = -1;

	while (bytes / unit >= 1024) {
		unit *= 1024;
		i++;
	}
	if (i < 0)
		snprintf(to, 16, "%u", (unsigned)bytes);
	else
		snprintf(to, 16, "%.1f%c", (double)bytes / (double)unit, units[i]);
	return to;
}

/* Fields in the order of the line, and how soon each is left out: the highest first. */
struct field {
	unsigned rank;
	char text[264];
};

static size_t fields_length(const struct field *fields, unsigned rank)
{
	size_t length = 0;

	for (size_t i = 0; i < FIELDS; i++)
		if (fields[i].rank <= rank && *fields[i].text)
			length += strlen(fields[i].text) + (length > 0 ? 2 : 0);
	return length;
}

static unsigned per_cent(const struct status *status)
{
	return status->size == 0 ? 100
				 : (unsigned)((unsigned __int128)status->end * 100 / status->size);
}

char *status_print(const struct status *status, unsigned columns, char to[STATUS_MAX])
{
	const struct pages_news *news = &status->news;
	struct field fields[FIELDS] = {
		{5, ""}, {7, ""}, {0, ""}, {1, ""}, {6, ""}, {3, ""}, {2, ""}, {4, ""}};
	char size[16], fetched[16];
	unsigned rank = 7;

	snprintf(fields[0].text, sizeof fields[0].text, "%.40s", status->name);
	snprintf(fields[1].text, sizeof fields[1].text, "%.30s", status->version);
	snprintf(fields[2].text, sizeof fields[2].text, "0x%llx/%s",
		(unsigned long long)status->offset, status_bytes(status->size, size));
	snprintf(fields[3].text, sizeof fields[3].text, "%u%%", per_cent(status));
	if (status->line > 0)
		snprintf(fields[4].text, sizeof fields[4].text, "line %llu",
			(unsigned long long)status->line);
	snprintf(fields[5].text, sizeof fields[5].text, "%llu req",
		(unsigned long long)news->requests);
	snprintf(fields[6].text, sizeof fields[6].text, "%s fetched",
		status_bytes(news->bytes_fetched, fetched));
	if (news->latency_ns > 0)
		snprintf(fields[7].text, sizeof fields[7].text, "%.1f ms",
			(double)news->latency_ns / 1e6);
	while (rank > 0 && fields_length(fields, rank) >= columns)
		rank--;
	*to = '\0';
	for (size_t i = 0; i < FIELDS; i++) {
		if (fields[i].rank > rank || !*fields[i].text)
			continue;
		if (*to)
			strcat(to, "  ");
		strcat(to, fields[i].text);
	}
	return to;
}
