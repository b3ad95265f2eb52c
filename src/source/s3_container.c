/*
 * s3_container.c - an environment variable may name the endpoint, and a token is sent there: so a
 * plain http: URL must be of this machine, or of an address that only a container's host has.
 */
#include "s3_container.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "text.h"
#include "url.h"

#define CONTAINER_BASE "http://169.254.170.2"

static bool is_loopback(const char *host)
{
	struct in6_addr ipv6;
	struct in_addr ipv4;

	if (inet_pton(AF_INET, host, &ipv4) == 1)
		return ntohl(ipv4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &ipv6) == 1 && IN6_IS_ADDR_LOOPBACK(&ipv6);
}

static bool is_container_host(const char *host)
{
	/* ECS, EKS in two families. */
	static const char *const hosts[] = {
		"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"};

	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (strcmp(hosts[i], host) == 0)
			return true;
	return is_loopback(host);
}

static int url_check(const char *text)
{
	cleanup(url_finish) struct url url = {0};
	cleanup_free char *host = NULL;
	int err = url_parse(text, &url);
	bool bracketed;

	if (err < 0)
		return err;
	if (strcmp(url.scheme, "https") == 0)
		return 0;
	bracketed = url.host[0] == '[';
	host = strndup(url.host + bracketed, strlen(url.host) - 2 * (size_t)bracketed);
	if (!host)
		return -ENOMEM;
	return is_container_host(host) ? 0 : -EPERM;
}

int s3_container_url(const char *relative, const char *full, char **ret)
{
	cleanup_free char *url = NULL;
	int err;

	if (relative ? text_print(&url, CONTAINER_BASE "%s%s", *relative == '/' ? "" : "/",
			       relative) < 0
		     : !(url = strdup(full)))
		return -ENOMEM;
	err = url_check(url);
	if (err < 0)
		return err;
	*ret = steal_pointer(&url);
	return 0;
}
