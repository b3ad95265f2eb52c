/*
 * errno_test.c - libcurl's results and HTTP's statuses as errno: the promises of DESIGN's section
 * 5, and what must hold for every value there is.
 */
#include "check.h"

#include <errno.h>

#include "client.h"
#include "http_head.h"

static void every_curl_result_is_a_negative_errno(void **state)
{
	(void)state;
	for (int i = 1; i < CURL_LAST; i++) {
		struct curl_errno entry = curl_errno((CURLcode)i);

		assert_true(entry.err < 0 && entry.err > -4096);
	}
	assert_int_equal(curl_errno(CURLE_OK).err, 0);
}

static void curl_results_have_their_errno(void **state)
{
	static const struct {
		CURLcode result;
		int err;
		bool again;
	} table[] = {
		{CURLE_URL_MALFORMAT, -EINVAL, false},
		{CURLE_UNSUPPORTED_PROTOCOL, -EPROTO, false},
		{CURLE_OUT_OF_MEMORY, -ENOMEM, false},
		{CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, true},
		{CURLE_COULDNT_CONNECT, -ECONNREFUSED, true},
		{CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, true},
		{CURLE_SEND_ERROR, -EIO, true},
		{CURLE_RECV_ERROR, -EIO, true},
		{CURLE_GOT_NOTHING, -EIO, true},
		{CURLE_PARTIAL_FILE, -EIO, true},
		{CURLE_TOO_MANY_REDIRECTS, -ELOOP, false},
		{CURLE_SSL_CONNECT_ERROR, -EKEYREJECTED, false},
		{CURLE_PEER_FAILED_VERIFICATION, -EKEYREJECTED, false},
		{CURLE_SSL_CACERT_BADFILE, -EKEYREJECTED, false},
		{CURLE_WEIRD_SERVER_REPLY, -EPROTO, false},
		{CURLE_WRITE_ERROR, -EIO, false},
		{CURLE_FTP_WEIRD_PASS_REPLY, -EIO, false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		struct curl_errno entry = curl_errno(table[i].result);

		assert_int_equal(entry.err, table[i].err);
		assert_int_equal(entry.again, table[i].again);
	}
}

static void every_status_is_a_negative_errno(void **state)
{
	(void)state;
	for (unsigned status = 100; status < 1000; status++)
		for (int at_open = 0; at_open < 2; at_open++) {
			struct http_status_errno entry = http_status_errno(status, at_open);

			assert_true(entry.err < 0 && entry.err > -4096);
			/* Only what may pass is tried again. */
			assert_int_equal(
				entry.again, status == 408 || status == 429 || status >= 500);
		}
}

static void statuses_have_their_errno(void **state)
{
	static const struct {
		unsigned status;
		int open_err, later_err;
	} table[] = {
		{101, -EPROTO, -EPROTO},
		{200, -ENOTSUP, -ENOTSUP},
		{204, -EPROTO, -EPROTO},
		{205, -EPROTO, -EPROTO},
		{301, -ELOOP, -ESTALE},
		{304, -ELOOP, -ESTALE},
		{400, -EINVAL, -EIO},
		{401, -EACCES, -EACCES},
		{403, -EACCES, -EACCES},
		{404, -ENOENT, -ESTALE},
		{405, -ENOTSUP, -EIO},
		{407, -EACCES, -EACCES},
		{408, -ETIMEDOUT, -ETIMEDOUT},
		{410, -ENOENT, -ESTALE},
		{412, -ESTALE, -ESTALE},
		{416, -ESTALE, -ESTALE},
		{418, -EIO, -EIO},
		{429, -EIO, -EIO},
		{500, -EIO, -EIO},
		{502, -EIO, -EIO},
		{503, -EIO, -EIO},
		{504, -EIO, -EIO},
		{599, -EIO, -EIO},
	};

	(void)state;
	for (size_t i = 0; i < array_len(table); i++) {
		assert_int_equal(http_status_errno(table[i].status, true).err, table[i].open_err);
		assert_int_equal(http_status_errno(table[i].status, false).err, table[i].later_err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_curl_result_is_a_negative_errno),
		cmocka_unit_test(curl_results_have_their_errno),
		cmocka_unit_test(every_status_is_a_negative_errno),
		cmocka_unit_test(statuses_have_their_errno),
	};

	return run_group(tests);
}
