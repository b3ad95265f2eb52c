/*
 * table_objects.c - rows: validators, sizes, objects that change, and files on the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"
#include "shared.h"
#include "table.h"

/* ---- what is done to files ---------------------------------------------------------------- */

static void harm_remove(const char *path)
{
	unlink(path);
}

static void harm_cut(const char *path)
{
	assert_int_equal(truncate(path, 10000), 0);
}

static void harm_grow(const char *path)
{
	assert_int_equal(truncate(path, (off_t)DATA_BYTES + 10000), 0);
}

/* In place: the same inode and length, another time. */
static void harm_overwrite(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "changed", 7, DATA_BYTES / 4 * 3), 7);
	close(fd);
}

static void harm_directory(const char *path)
{
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void harm_fifo(const char *path)
{
	unlink(path);
	assert_int_equal(mkfifo(path, 0644), 0);
}

static void harm_loop(const char *path)
{
	unlink(path);
	assert_int_equal(symlink(path, path), 0);
}

static void harm_socket(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink(path);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
}

static void harm_device(const char *path)
{
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
}

/* Elsewhere, with the same bytes. */
static void harm_link(const char *path)
{
	char target[256];

	snprintf(target, sizeof target, "%s.target", path);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
}

/* Every answer has a validator of 64 KB. */
#define A16 "aaaaaaaaaaaaaaaa"
#define A128 A16 A16 A16 A16 A16 A16 A16 A16
#define A1K A128 A128 A128 A128 A128 A128 A128 A128
#define A8K A1K A1K A1K A1K A1K A1K A1K A1K

#define FILE_URL "file://{root}@"
#define ORIGIN_URL "http://127.0.0.1:{origin}@"

const struct hostile object_rows[] = {
	/* Validators. */
	{"no ETag", "drop-header=ETag", WORKS, FAILS(ESTALE, "another ETag")},
	{"no validator at all", "drop-header=ETag drop-header=Last-Modified", WORKS,
		FAILS(ESTALE, "another ETag")},
	{"an empty ETag", "header=\"ETag: \"", WORKS, FAILS(ESTALE, "another ETag")},
	{"an ETag of nothing", "header=\"ETag: \\\"\\\"\" ignore-conditions", WORKS,
		FAILS(ESTALE, "another ETag")},
	{"an ETag without quotes", "header=\"ETag: abc\" ignore-conditions", WORKS,
		FAILS(ESTALE, "another ETag")},
	{"a weak ETag", "etag=\"W/\\\"weak\\\"\" ignore-conditions", WORKS,
		FAILS(ESTALE, "another ETag")},
	{"a weak ETag with another date each time",
		"etag=\"W/\\\"weak\\\"\" ignore-conditions\n"
		"every=2 : header=\"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\"",
		FAILS(ESTALE, "another Last-Modified"), {0}},
	{"an ETag of 255 bytes",
		"etag=\"\\\"" A128 A16 A16 A16 A16 A16 A16 A16
		"aaaaaaaaaaaaa\\\"\" ignore-conditions",
		WORKS, FAILS(ESTALE, "another ETag")},
	{"an ETag of 8 KB", "etag=\"\\\"" A8K "\\\"\" ignore-conditions", WORKS,
		FAILS(ESTALE, "another ETag")},
	{"an ETag of 64 KB",
		"etag=\"\\\"" A8K A8K A8K A8K A8K A8K A8K A8K "\\\"\" ignore-conditions",
		FAILS(EPROTO, NULL), FAILS(EPROTO, "malformed")},
	{"two ETags", "add-header=\"ETag: \\\"x\\\"\" ignore-conditions", WORKS,
		FAILS(ESTALE, "another ETag")},
	{"an ETag with blanks and commas", "etag=\"\\\"a, b c\\\"\" ignore-conditions", WORKS,
		FAILS(ESTALE, "another ETag")},
	{"an ETag of bytes that are no text", "etag=\"\\\"\\xff\\xfe\\\"\" ignore-conditions",
		WORKS, FAILS(ESTALE, "another ETag")},
	{"an ETag for each answer", "ignore-conditions\nevery=2 : etag=\"\\\"b\\\"\"",
		FAILS(ESTALE, "another ETag"), {0}},
	{"a date that is none", "header=\"Last-Modified: yesterday\"", WORKS, WORKS},
	{"a date of 1601", "header=\"Last-Modified: Mon, 01 Jan 1601 00:00:00 GMT\"", WORKS, WORKS},
	{"a date of the year 9999", "header=\"Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT\"",
		WORKS, WORKS},

	/*
	 * HEAD and GET disagree, or there is no HEAD: who finds a name asks for its size so. What
	 * GET says is believed, until HEAD is asked again.
	 */
	{"HEAD is refused with 403", "method=HEAD : status=403", WORKS, {0}, .bare = true},
	{"HEAD is refused with 405", "method=HEAD : status=405", WORKS, {0}, .bare = true},
	{"HEAD is refused with 501", "method=HEAD : status=501", WORKS, {0}, .bare = true},
	{"HEAD is refused with 400", "method=HEAD : status=400", WORKS, {0}, .bare = true},
	{"HEAD has no length", "method=HEAD : drop-header=Content-Length", WORKS, {0},
		.bare = true},
	{"HEAD has another length", "method=HEAD : length=17", WORKS_OR(ESTALE), {0}, .bare = true},
	{"HEAD has another ETag", "method=HEAD : header=\"ETag: \\\"x\\\"\"", WORKS_OR(ESTALE), {0},
		.bare = true},
	{"HEAD has another date",
		"method=HEAD : header=\"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\"",
		WORKS_OR(ESTALE), {0}, .bare = true},
	{"HEAD is 404", "method=HEAD : status=404", FAILS(ENOENT, "HTTP 404"), {0}, .bare = true},
	{"HEAD is 401", "method=HEAD : status=401", FAILS(EACCES, "HTTP 401"), {0}, .bare = true},
	{"HEAD is 503", "method=HEAD : status=503", GIVES_UP(EIO, "HTTP 503"), {0}, .bare = true},
	{"HEAD has two lengths", "method=HEAD : add-header=\"Content-Length: 5\"",
		FAILS(EPROTO, "Content-Length"), {0}, .bare = true},
	{"HEAD is never answered", "method=HEAD : stall=0 delay=1h", TIMES_OUT(NULL), {0},
		.bare = true},

	/* It changes. */
	{"another object of the same length", "as=/shared/other", {0},
		FAILS(ESTALE, "has changed")},
	{"another object, and If-Match is ignored", "as=/shared/other ignore-conditions", {0},
		FAILS(ESTALE, "another ETag")},
	{"it grows", "as=/shared/longer ignore-conditions", {0}, FAILS(ESTALE, "another length")},
	{"it shrinks", "as=/shared/shorter ignore-conditions", {0},
		FAILS(ESTALE, "another length")},
	{"it is empty now", "as=/shared/0", {0}, FAILS(ESTALE, "has changed")},
	{"it changes between open and read", "from=3 : as=/shared/other",
		FAILS(ESTALE, "has changed"), {0}},
	{"another object under the same date",
		"as=/shared/other ignore-conditions drop-header=ETag", {0},
		FAILS(ESTALE, "another ETag")},
	{"the server's file is removed", NULL, {0}, FAILS(ESTALE, "gone"), .harm = harm_remove},
	{"the server's file is cut", NULL, {0}, FAILS(ESTALE, "has changed"), .harm = harm_cut},
	{"the server's file grows", NULL, {0}, FAILS(ESTALE, "has changed"), .harm = harm_grow},
	{"the server's file is written to", NULL, {0}, FAILS(ESTALE, "has changed"),
		.harm = harm_overwrite},
	{"the server's file is a directory now", NULL, {0}, FAILS(ENOTSUP, "does not serve ranges"),
		.harm = harm_directory},

	{"other bytes under the same ETag", "skew=4096", {0}, WORKS, .undetected = true},
	{"a bit is flipped", "corrupt=17", WORKS, WORKS, .undetected = true},

	/* Sizes. */
	{"0 bytes", NULL, WORKS, {0}, .file = "0"},
	{"0 bytes, with 416", "status=416 header=\"Content-Range: bytes */0\"", WORKS, {0},
		.file = "0"},
	{"1 byte", NULL, WORKS, {0}, .file = "1"},
	{"4095 bytes", NULL, WORKS, {0}, .file = "4095"},
	{"4096 bytes", NULL, WORKS, {0}, .file = "4096"},
	{"4097 bytes", NULL, WORKS, {0}, .file = "4097"},
	{"16 KiB, all of a probe", NULL, WORKS, {0}, .file = "16384"},
	{"16 KiB and a byte", NULL, WORKS, {0}, .file = "16385"},
	{"2 GiB less one", "as=/generated/2147483647", WORKS, {0}, .url = ORIGIN_URL,
		.generated = UINT64_C(2147483647)},
	{"2 GiB", "as=/generated/2G", WORKS, {0}, .url = ORIGIN_URL,
		.generated = UINT64_C(1) << 31},
	{"4 GiB", "as=/generated/4G", WORKS, {0}, .url = ORIGIN_URL,
		.generated = UINT64_C(1) << 32},
	{"4 GiB and a byte", "as=/generated/4294967297", WORKS, {0}, .url = ORIGIN_URL,
		.generated = (UINT64_C(1) << 32) + 1},
	{"1 TiB", "as=/generated/1T", WORKS, {0}, .url = ORIGIN_URL,
		.generated = UINT64_C(1) << 40},
	{"INT64_MAX bytes", "as=/generated/9223372036854775807", WORKS, {0}, .url = ORIGIN_URL,
		.generated = INT64_MAX},
	{"another size than the listing's", "as=/generated/1M", WORKS, {0},
		.generated = UINT64_C(1) << 20},
	{"another size than the manifest's", "as=/generated/1M", FAILS(ESTALE, "another length"),
		{0}, .url = ORIGIN_URL, .no_map = true},

	/* Files, whose URL says file:. */
	{"file: is gone", NULL, FAILS(ENOENT, NULL), FAILS(ESTALE, "Stale"), .url = FILE_URL,
		.harm = harm_remove},
	{"file: is cut", NULL, {0}, FAILS(ESTALE, "Stale"), .url = FILE_URL, .harm = harm_cut},
	{"file: grows", NULL, {0}, FAILS(ESTALE, "Stale"), .url = FILE_URL, .harm = harm_grow},
	{"file: is written to", NULL, {0}, FAILS(ESTALE, "Stale"), .url = FILE_URL,
		.harm = harm_overwrite},
	{"file: is a directory", NULL, FAILS(EISDIR, NULL), {0},
		.map_at_open = FAILS(ENOTSUP, "not a file"), .url = FILE_URL,
		.harm = harm_directory},
	/* A mount does not list what is no file. */
	{"file: is a FIFO", NULL, FAILS(ENOENT, NULL), {0},
		.map_at_open = FAILS(ENOTSUP, "not a file"), .url = FILE_URL, .harm = harm_fifo},
	{"file: is a socket", NULL, FAILS(ENOENT, NULL), {0}, .map_at_open = FAILS(ENXIO, NULL),
		.url = FILE_URL, .harm = harm_socket},
	{"file: is a device", NULL, FAILS(ENOENT, NULL), {0},
		.map_at_open = FAILS(ENOTSUP, "not a file"), .url = FILE_URL, .harm = harm_device},
	{"file: is a loop of links", NULL, FAILS(ENOENT, NULL), {0},
		.map_at_open = FAILS(ELOOP, NULL), .url = FILE_URL, .harm = harm_loop},
	{"file: is a link", NULL, WORKS, WORKS, .url = FILE_URL, .harm = harm_link},
};
const size_t object_rows_count = array_len(object_rows);
