/*
 * fail_library.c - wrappers of libcurl's, expat's, jansson's, libcrypto's, libfuse's and
 * libseccomp's calls. See fail.h.
 *
 * A reply fails when the caller has given up meanwhile (ENOENT): the kernel knows nothing of what
 * it said. So another one is sent in its place, EIO; a request without an answer would be our hang.
 */
#define CURL_DISABLE_TYPECHECK
#define FUSE_USE_VERSION 314
#include <curl/curl.h>
#include <expat.h>
#include <fuse_lowlevel.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <seccomp.h>
#include <stdarg.h>

#include "fail_wrap.h"

#undef curl_easy_setopt
#undef curl_multi_setopt
#undef curl_share_setopt
#undef fuse_session_new

/* clang-format off: tables */

/* ---- libcurl ------------------------------------------------------------------------------ */

WRAP_CODE(FAIL_CURL, CURLcode, curl_global_init, (long flags), (flags), CURLE_FAILED_INIT)
WRAP(FAIL_CURL, CURL *, curl_easy_init, (void), (), NULL, ENOMEM)
WRAP_CODE(FAIL_CURL, CURLcode, curl_easy_setopt, (CURL * easy, CURLoption option, void *value),
	(easy, option, value), CURLE_OUT_OF_MEMORY)
WRAP_CODE(FAIL_CURL, CURLcode, curl_easy_send,
	(CURL * easy, const void *bytes, size_t size, size_t *ret), (easy, bytes, size, ret),
	CURLE_SEND_ERROR)
WRAP_CODE(FAIL_CURL, CURLcode, curl_easy_recv, (CURL * easy, void *bytes, size_t size, size_t *ret),
	(easy, bytes, size, ret), CURLE_RECV_ERROR)
WRAP(FAIL_CURL, CURLM *, curl_multi_init, (void), (), NULL, ENOMEM)
WRAP_CODE(FAIL_CURL, CURLMcode, curl_multi_setopt, (CURLM * multi, CURLMoption option, void *value),
	(multi, option, value), CURLM_OUT_OF_MEMORY)
WRAP_CODE(FAIL_CURL, CURLMcode, curl_multi_add_handle, (CURLM * multi, CURL *easy), (multi, easy),
	CURLM_OUT_OF_MEMORY)
WRAP_CODE(FAIL_CURL, CURLMcode, curl_multi_assign, (CURLM * multi, curl_socket_t fd, void *context),
	(multi, fd, context), CURLM_BAD_SOCKET)
WRAP_CODE(FAIL_CURL, CURLMcode, curl_multi_socket_action,
	(CURLM * multi, curl_socket_t fd, int events, int *running), (multi, fd, events, running),
	CURLM_OUT_OF_MEMORY)
WRAP(FAIL_CURL, CURLSH *, curl_share_init, (void), (), NULL, ENOMEM)
WRAP_CODE(FAIL_CURL, CURLSHcode, curl_share_setopt,
	(CURLSH * share, CURLSHoption option, void *value), (share, option, value), CURLSHE_NOMEM)
WRAP(FAIL_CURL, struct curl_slist *, curl_slist_append,
	(struct curl_slist * list, const char *text), (list, text), NULL, ENOMEM)
WRAP(FAIL_CURL, CURLU *, curl_url, (void), (), NULL, ENOMEM)
WRAP_CODE(FAIL_CURL, CURLUcode, curl_url_set,
	(CURLU * url, CURLUPart part, const char *text, unsigned flags), (url, part, text, flags),
	CURLUE_OUT_OF_MEMORY)
WRAP_CODE(FAIL_CURL, CURLUcode, curl_url_get,
	(const CURLU *url, CURLUPart part, char **ret, unsigned flags), (url, part, ret, flags),
	CURLUE_OUT_OF_MEMORY)

/* ---- parsers and digests ------------------------------------------------------------------ */

WRAP(FAIL_PARSE, XML_Parser, XML_ParserCreate, (const char *encoding), (encoding), NULL, ENOMEM)
WRAP(FAIL_PARSE, XML_Parser, XML_ParserCreateNS, (const char *encoding, char separator),
	(encoding, separator), NULL, ENOMEM)
WRAP(FAIL_PARSE, enum XML_Status, XML_Parse,
	(XML_Parser parser, const char *text, int len, int last), (parser, text, len, last),
	XML_STATUS_ERROR, ENOMEM)
WRAP(FAIL_PARSE, json_t *, json_object, (void), (), NULL, ENOMEM)
WRAP(FAIL_PARSE, json_t *, json_string, (const char *text), (text), NULL, ENOMEM)
WRAP(FAIL_PARSE, json_t *, json_integer, (json_int_t value), (value), NULL, ENOMEM)
WRAP(FAIL_PARSE, char *, json_dumps, (const json_t *value, size_t flags), (value, flags), NULL,
	ENOMEM)
WRAP(FAIL_PARSE, size_t, json_dumpb, (const json_t *value, char *text, size_t size, size_t flags),
	(value, text, size, flags), 0, ENOMEM)
WRAP(FAIL_PARSE, unsigned char *, HMAC,
	(const EVP_MD *digest, const void *key, int key_len, const unsigned char *bytes,
		size_t size, unsigned char *ret, unsigned *ret_len),
	(digest, key, key_len, bytes, size, ret, ret_len), NULL, ENOMEM)
WRAP(FAIL_PARSE, int, EVP_Digest,
	(const void *bytes, size_t size, unsigned char *ret, unsigned *ret_len,
		const EVP_MD *digest, ENGINE *engine),
	(bytes, size, ret, ret_len, digest, engine), 0, ENOMEM)

WRAP(FAIL_PARSE, EVP_MD_CTX *, EVP_MD_CTX_new, (void), (), NULL, ENOMEM)
WRAP(FAIL_PARSE, int, EVP_DigestInit_ex,
	(EVP_MD_CTX * context, const EVP_MD *digest, ENGINE *engine), (context, digest, engine), 0,
	ENOMEM)

WRAP(FAIL_PARSE, int, EVP_DigestUpdate, (EVP_MD_CTX * context, const void *bytes, size_t size),
	(context, bytes, size), 0, ENOMEM)
WRAP(FAIL_PARSE, int, EVP_DigestFinal_ex, (EVP_MD_CTX * context, unsigned char *ret, unsigned *len),
	(context, ret, len), 0, ENOMEM)

/* ---- libseccomp: all but the first return -errno --------------------------------------------- */

WRAP(FAIL_PROCESS, scmp_filter_ctx, seccomp_init, (uint32_t action), (action), NULL, ENOMEM)
WRAP_CODE(FAIL_PROCESS, int, seccomp_attr_set,
	(scmp_filter_ctx filter, enum scmp_filter_attr attribute, uint32_t value),
	(filter, attribute, value), -EEXIST)
WRAP_CODE(FAIL_PROCESS, int, seccomp_rule_add_array,
	(scmp_filter_ctx filter, uint32_t action, int number, unsigned count,
		const struct scmp_arg_cmp *arguments),
	(filter, action, number, count, arguments), -ENOMEM)
WRAP_CODE(
	FAIL_PROCESS, int, seccomp_load, (const scmp_filter_ctx filter), (filter), -ENOMEM, -EINVAL)

/* ---- libfuse ------------------------------------------------------------------------------ */

WRAP(FAIL_FUSE, struct fuse_session *, fuse_session_new,
	(struct fuse_args * arguments, const struct fuse_lowlevel_ops *ops, size_t size,
		void *context),
	(arguments, ops, size, context), NULL, ENOMEM)
WRAP(FAIL_FUSE, int, fuse_session_mount, (struct fuse_session * session, const char *path),
	(session, path), -1, EPERM)
WRAP(FAIL_FUSE, int, fuse_opt_add_arg, (struct fuse_args * arguments, const char *text),
	(arguments, text), -1, ENOMEM)
WRAP(FAIL_FUSE, int, fuse_opt_add_opt, (char **options, const char *option), (options, option), -1,
	ENOMEM)
WRAP(FAIL_FUSE, int, fuse_opt_add_opt_escaped, (char **options, const char *option),
	(options, option), -1, ENOMEM)

int __real_fuse_reply_err(fuse_req_t request, int err);
#define WRAP_REPLY(name, parameters, arguments)                 \
	int __real_##name parameters;                           \
	int __wrap_##name parameters;                           \
	int __wrap_##name parameters                            \
	{                                                       \
		int error = FAIL_NOW(FAIL_FUSE, #name, ENOENT); \
                                                                \
		if (error == 0)                                 \
			return __real_##name arguments;         \
		__real_fuse_reply_err(request, EIO);            \
		return -error;                                  \
	}
WRAP_REPLY(fuse_reply_attr, (fuse_req_t request, const struct stat *attributes, double timeout_s),
	(request, attributes, timeout_s))
WRAP_REPLY(fuse_reply_buf, (fuse_req_t request, const char *bytes, size_t size),
	(request, bytes, size))
WRAP_REPLY(fuse_reply_entry, (fuse_req_t request, const struct fuse_entry_param *entry),
	(request, entry))
WRAP_REPLY(fuse_reply_err, (fuse_req_t request, int err), (request, err))
WRAP_REPLY(fuse_reply_iov, (fuse_req_t request, const struct iovec *parts, int count),
	(request, parts, count))
WRAP_REPLY(
	fuse_reply_open, (fuse_req_t request, const struct fuse_file_info *file), (request, file))
WRAP_REPLY(fuse_reply_statfs, (fuse_req_t request, const struct statvfs *status), (request, status))
WRAP_REPLY(fuse_reply_xattr, (fuse_req_t request, size_t size), (request, size))

/* clang-format on */

int __real_fuse_session_receive_buf(struct fuse_session *session, struct fuse_buf *buffer);
int __wrap_fuse_session_receive_buf(struct fuse_session *session, struct fuse_buf *buffer);
int __wrap_fuse_session_receive_buf(struct fuse_session *session, struct fuse_buf *buffer)
{
	int error = FAIL_NOW(FAIL_FUSE, "fuse_session_receive_buf", EINTR, ENOMEM);

	return error ? -error : __real_fuse_session_receive_buf(session, buffer);
}

/* ptrace(2) stays: with it LSan stops the threads at the end. */
int __real_seccomp_rule_add(scmp_filter_ctx filter, uint32_t action, int number, unsigned count);
int __wrap_seccomp_rule_add(scmp_filter_ctx filter, uint32_t action, int number, unsigned count);
int __wrap_seccomp_rule_add(scmp_filter_ctx filter, uint32_t action, int number, unsigned count)
{
	if (FAIL_NOW(FAIL_PROCESS, "seccomp_rule_add", ENOMEM))
		return -ENOMEM;
	return number == SCMP_SYS(ptrace) ? 0
					  : __real_seccomp_rule_add(filter, action, number, count);
}

json_t *__real_json_loadb(const char *bytes, size_t size, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *bytes, size_t size, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *bytes, size_t size, size_t flags, json_error_t *error)
{
	if (!FAIL_NOW(FAIL_PARSE, "json_loadb", ENOMEM))
		return __real_json_loadb(bytes, size, flags, error);
	if (error) {
		memset(error, 0, sizeof *error);
		error->text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory;
	}
	return NULL;
}

json_t *__wrap_json_pack(const char *format, ...);
json_t *__wrap_json_pack(const char *format, ...)
{
	va_list arguments;
	json_t *value;

	if (FAIL_NOW(FAIL_PARSE, "json_pack", ENOMEM))
		return NULL;
	va_start(arguments, format);
	value = json_vpack_ex(NULL, 0, format, arguments);
	va_end(arguments);
	return value;
}

/* Takes the value in any case. */
int __real_json_object_set_new(json_t *object, const char *key, json_t *value);
int __wrap_json_object_set_new(json_t *object, const char *key, json_t *value);
int __wrap_json_object_set_new(json_t *object, const char *key, json_t *value)
{
	if (!FAIL_NOW(FAIL_PARSE, "json_object_set_new", ENOMEM))
		return __real_json_object_set_new(object, key, value);
	json_decref(value);
	return -1;
}
