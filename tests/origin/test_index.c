/* test_index.c - directory listings; test_nginx.c compares the same tree with nginx itself. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct server server;
static struct client client;
static struct response response;

#define LONG_NAME "name-of-more-than-fifty-characters-which-is-cut-in-the-text"

static void add_tree(void)
{
	char path[128];

	server_add_directory(&server, "tree");
	server_add_file(&server, "tree/b <&> \"c\"", "12345", 5);
	server_add_file(&server, "tree/a", "", 0);
	server_add_file(&server, "tree/.hidden", "", 0);
	server_add_file(&server, "tree/" LONG_NAME, "1", 1);
	server_add_directory(&server, "tree/z");
	server_add_directory(&server, "tree/empty");
	snprintf(path, sizeof(path), "%s/tree/dangling", server.root);
	assert_int_equal(symlink("nowhere", path), 0);
}

static void get(const char *path)
{
	client_request(&client, "GET", path, NULL, &response);
	assert_int_equal(response.status, 200);
	response.body[response.length] = '\0';
}

static void test_html(void **state)
{
	(void)state;
	get("/tree/");
	assert_string_equal(response_field(&response, "Content-Type"), "text/html");
	assert_memory_equal(response.body,
		"<html>\r\n<head><title>Index of /tree/</title></head>\r\n<body>\r\n"
		"<h1>Index of /tree/</h1><hr><pre><a href=\"../\">../</a>\r\n",
		strlen("<html>\r\n<head><title>Index of /tree/</title></head>\r\n<body>\r\n"
		       "<h1>Index of /tree/</h1><hr><pre><a href=\"../\">../</a>\r\n"));
	/* Directories first. */
	assert_non_null(strstr(response.body,
		"</a>\r\n"
		"<a href=\"empty/\">empty/</a>                                             "
		"06-May-2024 07:08                   -\r\n"
		"<a href=\"z/\">z/</a>                                                 "
		"06-May-2024 07:08                   -\r\n"
		"<a href=\"a\">a</a>                                                  "
		"06-May-2024 07:08                   0\r\n"));
	assert_non_null(strstr(response.body,
		"<a href=\"b%20%3C%26%3E%20%22c%22\">b &lt;&amp;&gt; &quot;c&quot;</a>"
		"                                          06-May-2024 07:08                   5\r\n"));
	assert_non_null(strstr(response.body,
		"<a href=\"" LONG_NAME
		"\">name-of-more-than-fifty-characters-which-is-cut..&gt;</a> "
		"06-May-2024 07:08                   1\r\n"));
	assert_null(strstr(response.body, "hidden"));
}

static void test_empty_directory(void **state)
{
	(void)state;
	get("/tree/empty/");
	assert_string_equal(response.body,
		"<html>\r\n<head><title>Index of /tree/empty/</title></head>\r\n<body>\r\n"
		"<h1>Index of /tree/empty/</h1><hr><pre><a href=\"../\">../</a>\r\n"
		"</pre><hr></body>\r\n</html>\r\n");
}

static void test_head(void **state)
{
	(void)state;
	client_request(&client, "HEAD", "/tree/", NULL, &response);
	assert_int_equal(response.status, 200);
	client_request(&client, "HEAD", "/tree/", NULL, &response);
	assert_int_equal(response.status, 200);
}

static void test_json(void **state)
{
	const char *text = response.body;

	(void)state;
	get("/tree/");
	assert_string_equal(response_field(&response, "Content-Type"), "application/json");
	/* The link's own time is not known. */
	assert_non_null(strstr(text, "{ \"name\":\"dangling\", \"type\":\"other\", \"mtime\":\""));
	assert_non_null(strstr(text,
		"[\r\n"
		"{ \"name\":\"empty\", \"type\":\"directory\", \"mtime\":\"" FILE_MODIFIED
		"\" },\r\n"
		"{ \"name\":\"z\", \"type\":\"directory\", \"mtime\":\"" FILE_MODIFIED "\" },\r\n"
		"{ \"name\":\"a\", \"type\":\"file\", \"mtime\":\"" FILE_MODIFIED
		"\", \"size\":0 },\r\n"
		"{ \"name\":\"b <&> \\\"c\\\"\", \"type\":\"file\", \"mtime\":\"" FILE_MODIFIED
		"\", \"size\":5 },\r\n"));
	get("/tree/empty/");
	assert_string_equal(response.body, "[\r\n]");
}

static int start(void **state)
{
	server_start(&server, (struct origin_options){.root = "", .index_json = *state != NULL});
	add_tree();
	client_open(&client, origin_port(server.origin));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	client_close(&client);
	server_stop(&server);
	return 0;
}

int main(void)
{
	static char json[] = "json";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_html, start, stop),
		cmocka_unit_test_setup_teardown(test_empty_directory, start, stop),
		cmocka_unit_test_setup_teardown(test_head, start, stop),
		cmocka_unit_test_prestate_setup_teardown(test_json, start, stop, json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
