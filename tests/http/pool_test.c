/*
 * pool_test.c - how many connections there are, and who gets one first.
 */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 3000001

struct scene {
	struct server server;
	struct client client;
	struct local local;
	struct remote *remote;
};

static void scene_open(struct scene *scene, unsigned connections_max)
{
	const struct source_options options = {
		.connections_max = connections_max, .timeout_ms = 5000};

	server_start(&scene->server);
	local_make(&scene->local, &scene->server, "data", SIZE, 1);
	client_open(&scene->client, &options);
	scene->remote = client_pin(&scene->client, server_url(&scene->server, "data"));
}

static void scene_close(struct scene *scene)
{
	client_unpin(&scene->client, scene->remote);
	client_close(&scene->client);
	local_finish(&scene->local);
	server_stop(&scene->server);
}

static void the_limit_of_connections_is_kept(void **state)
{
	static const unsigned limits[] = {1, 2, 3, 8};

	(void)state;
	for (size_t i = 0; i < array_len(limits); i++) {
		struct got gots[24] = {0};
		struct scene scene;

		scene_open(&scene, limits[i]);
		server_reset_counts(&scene.server);
		server_script(&scene.server, "path=/data : delay=5ms");
		for (size_t j = 0; j < array_len(gots); j++) {
			gots[j].exchange.urgent = j % 2;
			got_start(&gots[j], &scene.client, scene.remote,
				(struct range){j * 1000, j * 1000 + 5000});
			assert_true(scene.client.source->stats.connections <= limits[i]);
		}
		for (size_t j = 0; j < array_len(gots); j++) {
			assert_int_equal(got_wait(&gots[j]), 0);
			assert_memory_equal(gots[j].bytes, scene.local.bytes + j * 1000, 5000);
			got_finish(&gots[j]);
		}
		assert_true(scene.client.source->stats.connections_opened <= limits[i]);
		scene_close(&scene);
	}
}

static void who_is_waited_for_goes_first(void **state)
{
	struct got gots[6] = {0};
	struct scene scene;

	(void)state;
	scene_open(&scene, 1);
	server_script(&scene.server, "path=/data : delay=5ms");
	for (size_t i = 0; i < array_len(gots); i++) {
		gots[i].exchange.urgent = i == 5;
		got_start(&gots[i], &scene.client, scene.remote, (struct range){0, 5000});
	}
	assert_int_equal(got_wait(&gots[5]), 0);
	/* One connection: at most the one that was connecting before it came. */
	assert_false(gots[1].done && gots[2].done);
	for (size_t i = 0; i < array_len(gots); i++) {
		assert_int_equal(got_wait(&gots[i]), 0);
		got_finish(&gots[i]);
	}
	scene_close(&scene);
}

static void readahead_leaves_connections_for_those_who_wait(void **state)
{
	struct got ahead[20] = {0}, urgent = {.exchange.urgent = true};
	struct scene scene;

	(void)state;
	scene_open(&scene, 6);
	server_script(&scene.server, "path=/data range=1M-2M : stall=0");
	for (size_t i = 0; i < array_len(ahead); i++)
		got_start(&ahead[i], &scene.client, scene.remote,
			(struct range){(1 << 20) + i * 4096, (1 << 20) + i * 4096 + 4096});
	client_run_for(&scene.client, 50);
	got_start(&urgent, &scene.client, scene.remote, (struct range){0, 5000});
	assert_int_equal(got_wait(&urgent), 0);
	got_finish(&urgent);
	for (size_t i = 0; i < array_len(ahead); i++) {
		assert_false(ahead[i].done);
		scene.client.source->ops->get_cancel(scene.client.source, &ahead[i].exchange);
		got_finish(&ahead[i]);
	}
	scene_close(&scene);
}

static void every_get_learns_that_the_server_is_gone(void **state)
{
	struct got gots[10] = {0};
	struct scene scene;

	(void)state;
	scene_open(&scene, 4);
	server_kill(&scene.server);
	for (size_t i = 0; i < array_len(gots); i++)
		got_start(&gots[i], &scene.client, scene.remote, (struct range){0, 5000});
	for (size_t i = 0; i < array_len(gots); i++) {
		assert_int_equal(got_wait(&gots[i]), -ECONNREFUSED);
		assert_true(gots[i].exchange.again && !gots[i].exchange.at_no_cost);
		got_finish(&gots[i]);
	}
	assert_true(scene.client.source->stats.connections == 0);
	scene_close(&scene);
}

/* 0: it is no socket. */
static ino_t socket_inode(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) ? status.st_ino : 0;
}

/*
 * libcurl closes what it thinks is an idle connection when that is 118 s old and another is made;
 * so it must not know a descriptor of the pool's. One that it does know is seen as a second one of
 * the same socket.
 */
static void no_descriptor_is_shared_with_libcurl(void **state)
{
	struct scene scene;
	ino_t sockets[256] = {0};
	unsigned doubles = 0;

	(void)state;
	scene_open(&scene, 4);
	assert_int_equal(
		client_get(&scene.client, scene.remote, (struct range){0, 5000}, &scene.local), 0);
	for (int fd = 0; fd < 256; fd++)
		sockets[fd] = socket_inode(fd);
	/* Plain connections leave nothing in libcurl's cache: each socket has one descriptor. */
	for (int fd = 0; fd < 256; fd++)
		for (int other = 3; other < fd; other++)
			doubles += sockets[fd] && sockets[fd] == sockets[other];
	assert_int_equal(doubles, 0);
	scene_close(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_limit_of_connections_is_kept),
		cmocka_unit_test(who_is_waited_for_goes_first),
		cmocka_unit_test(readahead_leaves_connections_for_those_who_wait),
		cmocka_unit_test(every_get_learns_that_the_server_is_gone),
		cmocka_unit_test(no_descriptor_is_shared_with_libcurl),
	};

	return run_group(tests);
}
