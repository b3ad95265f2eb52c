/* s3_container.h - which URL a container's credentials are asked from. Pure; any thread. */
#pragma once

/*
 * relative: a path on the address that containers are given; full: a URL; the first one counts. Not
 * both NULL. -EPERM: plain http: to a host that may be anybody's; -EINVAL: malformed; -ENOMEM.
 */
int s3_container_url(const char *relative, const char *full, char **ret);
