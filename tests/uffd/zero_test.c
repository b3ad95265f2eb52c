/*
 * zero_test.c - pages of zeros are the object's like all others, and take no memory.
 */
#include "fixture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"

#define PAGES 512
#define SIZE (PAGES * PAGE + 100) /* a short page at the end */
#define MIB (1 << 20)

static const struct pagein_options patient = {.size = sizeof patient, .timeout_ms = 20000};

/* What is resident of the area that begins at address. */
static size_t resident_bytes(const void *address)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long from, to, kib = 0;
	bool inside = false;
	char line[512];

	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = from == (uintptr_t)address;
		else if (inside && sscanf(line, "Rss: %lu kB", &kib) == 1)
			break;
	fclose(file);
	return kib * 1024;
}

/* Which bytes of each page are not zero: all, none, the first, the last, one in the middle. */
static void shape_page(uint8_t *page, size_t kind)
{
	static const size_t kept[] = {[2] = 0, [3] = PAGE - 1, [4] = 8, [5] = 2000};

	if (kind == 0)
		return;
	memset(page, 0, PAGE);
	if (kind >= 2)
		page[kept[kind]] = 1;
}

/* Changes the file before the object is opened. Runs of whole zero pages of every length up to 40.
 */
static size_t shape_file(const struct local *local)
{
	cleanup_fd int fd = open(local->path, O_RDWR | O_CLOEXEC);
	uint8_t page[PAGE];
	size_t zeros = 0, run = 0, length = 0;
	uint64_t seed = 3;

	assert_true(fd >= 0);
	for (size_t i = 0; i < PAGES; i++) {
		size_t kind = run++ < length ? 1 : random_next(&seed) % 6;

		if (run > length)
			run = 0, length = random_next(&seed) % 40;
		assert_int_equal(pread(fd, page, PAGE, (off_t)(i * PAGE)), PAGE);
		shape_page(page, kind);
		zeros += kind == 1;
		assert_int_equal(pwrite(fd, page, PAGE, (off_t)(i * PAGE)), PAGE);
	}
	return zeros;
}

static void pages_of_zeros_take_no_memory(void **state)
{
	(void)state;
	for (int populated = 0; populated < 2; populated++) {
		struct session session;
		size_t zeros;

		session_start_server(&session, SIZE);
		zeros = shape_file(&session.local);
		assert_true(zeros > PAGES / 8);
		session_open_object(&session, &patient);
		session_map(&session);
		if (populated)
			assert_int_equal(pagein_populate(session.map, 0, 0, -1), 0);
		assert_int_equal(session_compare(&session, 0, PAGES + 1), 0);
		assert_true(map_stats(session.map).zero_pages == zeros);
		assert_true(resident_bytes(session.bytes) == (PAGES + 1 - zeros) * PAGE);
		session_close(&session);
	}
}

static void zeros_come_and_go_like_other_pages(void **state)
{
	struct session session;

	(void)state;
	session_start_server(&session, SIZE);
	shape_file(&session.local);
	session_open_object(&session, &patient);
	session_map(&session);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(session_compare(&session, 0, PAGES + 1), 0);
		assert_int_equal(pagein_advise(session.map, 0, 0, PAGEIN_DONTNEED), 0);
	}
	session_close(&session);
}

/* 1 GiB of a hole: touched all over, and hardly there. */
static void a_hole_takes_no_memory(void **state)
{
	size_t size = (size_t)1024 * MIB, before;
	struct session session;
	struct pagein_object *object;
	struct pagein_map *map;
	const uint8_t *bytes;
	char path[200];
	int fd;

	(void)state;
	session_start_server(&session, 0);
	session_open_object(&session, &patient);
	session_map(&session);
	snprintf(path, sizeof path, "%s/hole", session.server.root);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	close(fd);
	assert_int_equal(pagein_open(server_url(&session.server, "hole"), &patient, &object), 0);
	assert_int_equal(pagein_map(object, 0, 0, 0, &map), 0);
	bytes = pagein_address(map);
	before = resident_bytes(bytes);
	for (size_t at = 0; at < size; at += PAGE)
		if (bytes[at] != 0)
			fail_msg("not zero at %zu", at);
	assert_true(resident_bytes(bytes) - before < 4 * MIB);
	assert_true(map_stats(map).zero_pages == size / PAGE);
	pagein_unmap(map);
	pagein_close(object);
	unlink(path);
	session_close(&session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_zeros_take_no_memory),
		cmocka_unit_test(zeros_come_and_go_like_other_pages),
		cmocka_unit_test(a_hole_takes_no_memory),
	};

	return userfaultfd_is_missing() ? 77 : run_group(tests);
}
