/*
 * origin.h - a scriptable HTTP/1.1 origin server.
 *
 * It serves a directory and generated objects as fast as the machine allows, and, when a script
 * says so, late, slowly, wrongly or not at all. `pagein bench` and `pagein demo` run it in a forked
 * child, the tests as the program pagein-origin.
 *
 * What it serves
 *   /PATH                    a file below options.root, with a strong ETag, single ranges and the
 *                            conditions of RFC 9110; a directory as nginx's autoindex shows it
 *   /generated/SIZE[-SEED]   SIZE bytes of pattern_fill() with SEED (0 by default); the suffixes
 *                            K, M, G and T are binary: /generated/1G-7
 *   /.origin/stats           GET: counters, as JSON
 *   /.origin/reset           PUT: the counters back to zero (but for the open connections)
 *   /.origin/rules           GET: a line for each rule of the script: how many requests met it
 *   /.origin/script          PUT: the body replaces the script; 204, or 400 and the reason
 * The script does not apply to /.origin/, nor are such requests counted.
 *
 * The script: one rule a line, `conditions : actions`, `#` starts a comment. Conditions and actions
 * are words separated by spaces or commas; a value that holds one of these is written in double
 * quotes, in which \r \n \t \\ \" and \xHH are known. A rule without conditions matches always. All
 * rules that match apply, in order; of the same action the last one stands.
 *
 *   path=*.bin range=1M-2M nth=3 : status=503 delay=10ms
 *   first=2                      : reset
 *   : delay=10ms, rate=80MB, header="Cache-Control: no-store"
 *
 * Sizes take K, M, G, T and KiB ... (binary) or KB, MB ... (decimal); durations ns, us, ms, s, m,
 * h. Conditions and actions are listed in script.c and actions.h, each with its meaning.
 *
 * Threads: everything belongs to the thread of origin_run() but origin_stop(). Errors are -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct origin;

struct origin_options {
	const char *root;    /* the directory served; NULL: generated objects only */
	const char *address; /* numeric IPv4 or IPv6; "127.0.0.1" when NULL */
	uint16_t port;       /* 0: any */
	const char *script;  /* rules; NULL: none */
	bool index_json;     /* index pages as JSON instead of HTML */
};

/* Binds and listens: clients may connect from now on. A bad script is -EINVAL, and is logged. */
int origin_create(const struct origin_options *options, struct origin **ret);

uint16_t origin_port(const struct origin *origin);

/* Serves on the calling thread until origin_stop(). */
int origin_run(struct origin *origin);

/* Any thread, or a signal handler. It may come before origin_run(), which then returns at once. */
void origin_stop(struct origin *origin);

/* Closes all connections. NULL is fine. */
void origin_destroy(struct origin *origin);

/* A server in a child of its own. */
struct origin_process {
	pid_t pid;
	uint16_t port;
};

/*
 * Forks a child that serves. When this returns, clients may connect. The child holds no descriptor
 * of the caller's but stdin, stdout and stderr, and dies with the *thread* that called this: call
 * it from one that lives as long as the server shall.
 */
int origin_spawn(const struct origin_options *options, struct origin_process *ret);

/* Ends and reaps the child; -EIO when it had not been serving to the end. Twice is fine. */
int origin_process_finish(struct origin_process *process);
