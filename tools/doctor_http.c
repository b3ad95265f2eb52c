/*
 * doctor_http.c - which libcurl there is, and whom it trusts. Nothing is sent.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "url.h"

static void check_curl(const struct url_library *curl)
{
	bool has_tls = curl->tls != NULL;

	if (curl->is_old) {
		doctor_say(VERDICT_WARN, "libcurl", "%s: older than 7.88", curl->version);
		doctor_fix("install libcurl4 of Debian 12 or later");
		return;
	}
	doctor_say(has_tls ? VERDICT_OK : VERDICT_WARN, "libcurl", "%s, %s", curl->version,
		has_tls ? curl->tls : "without TLS: no https://");
	if (!has_tls)
		doctor_fix("install a libcurl with TLS (libcurl4)");
}

static void check_authorities(const struct url_library *curl)
{
	const char *given = getenv("SSL_CERT_FILE");
	const char *file = given && *given ? given : curl->authorities;

	if (!file) {
		doctor_say(VERDICT_OK, "CA certificates", "as %s finds them",
			curl->tls ? curl->tls : "nobody");
		return;
	}
	if (access(file, R_OK) == 0) {
		doctor_say(VERDICT_OK, "CA certificates", "%s%s", file,
			file == given ? " (SSL_CERT_FILE)" : "");
		return;
	}
	doctor_say(VERDICT_WARN, "CA certificates", "%s can't be read: no https://", file);
	if (file == given)
		doctor_fix("let SSL_CERT_FILE name a readable file, or unset it");
	else
		doctor_fix("as root: apt-get install ca-certificates");
}

void doctor_check_http(void)
{
	struct url_library curl = url_library();

	check_curl(&curl);
	check_authorities(&curl);
}
