/* fuzz_netrc.c - any bytes as a netrc file; what is found in it lies within it. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "netrc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct netrc_entry *entry;
	struct netrc *netrc;
	unsigned line;

	if (netrc_parse((const char *)bytes, len, &netrc, &line) < 0)
		return 0;
	entry = netrc_find(netrc, "127.0.0.1", NULL);
	if (entry && entry->login)
		assert(strlen(entry->login) <= len);
	if (entry && entry->password)
		assert(strlen(entry->password) <= len);
	netrc_destroy(netrc);
	return 0;
}
