/*
 * weather.c - the faults of the server, chosen by the seed, and the errors that each of them may
 * cause.
 *
 * Weather lasts up to three seconds; a quarter of it is fair, else it is one to three rows of the
 * table. What a row's list of errnos does not have is a bug while only that row is in force: most
 * rows have none at all, since a single late, cut or refused answer is repeated. Rows that lie are
 * for ranges of objects (an HTML page has nothing that could tell), and never lie about bytes,
 * which only a checksum would notice. A fault outlasts its weather: an answer that hangs is noticed
 * LINGER_MS later at the most.
 *
 * The tables and the choice are the driver's; weather_explains() is for every process.
 */
#include "soak.h"

#include <errno.h>
#include <signal.h>

#define LINGER_MS (2 * TIMEOUT_MS)
#define FAIR_END_MIN_S 30 /* of which LINGER_MS may still see errors */
#define RANGED "path=/f/* method=GET range=0-1T "

/* What a server that can't be had gives, after all attempts: */
#define UNREACHABLE EIO, ETIMEDOUT, ECONNREFUSED

static const struct fault {
	const char *name;
	unsigned percent;    /* of the answers that the conditions match */
	const char *where;   /* conditions */
	const char *actions; /* NULL: of the server as a whole, see below */
	int errnos[6];
} faults[] = {
	{"late", 20, "", "delay=150ms", {0}},
	{"slow", 100, "", "rate=2M", {0}},
	{"pause", 10, "", "stall=1000 stall-for=300ms", {0}},
	{"chunked", 20, "", "chunked", {0}},
	{"no-keepalive", 20, "", "no-keepalive", {0}},
	{"close-between", 20, "", "close-after=1ms", {0}},
	/* Each of these may meet all of a request's attempts. */
	{"stall", 3, "", "stall=3000", {EIO, ETIMEDOUT}},
	{"mute", 3, "", "delay=1h", {EIO, ETIMEDOUT}},
	{"reset", 10, "", "reset", {EIO}},
	{"truncate", 10, "", "truncate=5000", {EIO}},
	{"truncate-reset", 10, "", "truncate=20000 reset", {EIO}},
	{"cut-head", 10, "", "cut-head=40", {EIO}},
	{"503", 20, "", "status=503", {EIO}},
	{"429", 10, "", "status=429 header=\"Retry-After: 1\"", {EIO}},
	/* Answers that say what is not true are refused at once. */
	{"other-range", 2, RANGED, "content-range=\"bytes 0-1/777\"", {EPROTO, ESTALE}},
	{"shift", 2, RANGED, "shift=4096", {EPROTO, ESTALE}},
	{"gzip-label", 2, RANGED, "gzip-label", {EPROTO}},
	{"length", 2, RANGED, "length=100", {EPROTO}},
	{"long-length", 2, RANGED, "length=99999999", {EPROTO, ETIMEDOUT}},
	{"whole", 2, RANGED, "ignore-range", {ENOTSUP, EPROTO}},
	{"other-etag", 2, RANGED, "header=\"ETag: \\\"lie\\\"\"", {ESTALE}},
	{"changed", 2, RANGED, "etag=\"\\\"other\\\"\"", {ESTALE}},
	{"403", 2, RANGED, "status=403", {EACCES}},
	{"404", 2, RANGED, "status=404", {ENOENT, ESTALE}},
	/* Played by the driver. */
	{"away", 100, NULL, NULL, {UNREACHABLE}},
	{"frozen", 100, NULL, NULL, {UNREACHABLE}},
};

#define FAULT_AWAY (array_len(faults) - 2)
#define FAULT_FROZEN (array_len(faults) - 1)

static struct {
	struct server *server;
	uint64_t random;
	uint64_t change_ns; /* when the weather changes */
	uint64_t fair_ns;   /* from here on it is fair */
	size_t now[3];      /* rows in force, in the order of the script's rules */
	size_t count;
} weather;

/* ---- what is allowed ----------------------------------------------------------------------- */

static bool fault_allows(const struct fault *fault, int number)
{
	for (size_t i = 0; i < array_len(fault->errnos) && fault->errnos[i]; i++)
		if (number == errno_any || fault->errnos[i] == number)
			return true;
	return false;
}

bool weather_explains(int number, uint64_t since_ns)
{
	bool explained = false;

	for (size_t i = 0; i < array_len(faults); i++) {
		uint64_t until_ns = atomic_load(&soak->fault_until_ns[i]);

		if (until_ns == 0 || until_ns < since_ns || !fault_allows(&faults[i], number))
			continue;
		atomic_fetch_add(&soak->explained[i], 1);
		explained = true;
	}
	return explained;
}

void weather_tell(uint64_t since_ns, char *to, size_t size)
{
	size_t used = 0;

	*to = '\0';
	for (size_t i = 0; i < array_len(faults) && used < size; i++)
		if (soak->fault_until_ns[i] && soak->fault_until_ns[i] >= since_ns)
			used += (size_t)snprintf(to + used, size - used, " %s", faults[i].name);
}

const char *weather_fault_name(size_t fault)
{
	return fault < array_len(faults) ? faults[fault].name : NULL;
}

/* ---- what there is ------------------------------------------------------------------------- */

static size_t chance(size_t count)
{
	return random_next(&weather.random) % count;
}

static void count_faults(void)
{
	uint64_t counts[array_len(weather.now)];

	server_rule_counts(weather.server, counts, weather.count);
	for (size_t i = 0; i < weather.count; i++)
		atomic_fetch_add(&soak->fault_count[weather.now[i]], counts[i]);
}

static void end_rows(void)
{
	for (size_t i = 0; i < weather.count; i++)
		atomic_store(&soak->fault_until_ns[weather.now[i]],
			clock_now_ns() + LINGER_MS * NS_PER_MS);
	weather.count = 0;
}

static void play_server(size_t fault)
{
	unsigned ms = 300 + (unsigned)chance(2000);

	atomic_store(&soak->fault_until_ns[fault], UINT64_MAX);
	if (fault == FAULT_AWAY) {
		server_kill(weather.server);
		pause_ms(ms);
		server_restart(weather.server);
	} else {
		/* Now and then longer than a request may take. */
		ms += chance(4) == 0 ? TIMEOUT_MS : 0;
		kill(weather.server->pid, SIGSTOP);
		pause_ms(ms);
		kill(weather.server->pid, SIGCONT);
	}
	atomic_fetch_add(&soak->fault_count[fault], 1);
	atomic_store(&soak->fault_until_ns[fault], clock_now_ns() + LINGER_MS * NS_PER_MS);
}

static bool is_in_force(size_t row)
{
	for (size_t i = 0; i < weather.count; i++)
		if (weather.now[i] == row)
			return true;
	return false;
}

static void choose_rows(void)
{
	size_t count = chance(4);

	for (size_t i = 0; i < count; i++) {
		size_t row = chance(FAULT_AWAY);

		if (is_in_force(row))
			continue;
		weather.now[weather.count++] = row;
		atomic_store(&soak->fault_until_ns[row], UINT64_MAX);
	}
}

static void set_rules(void)
{
	char rules[1024] = "";
	size_t used = 0;

	for (size_t i = 0; i < weather.count; i++) {
		const struct fault *fault = &faults[weather.now[i]];

		used += (size_t)snprintf(rules + used, sizeof rules - used,
			"%spercent=%u seed=%zu : %s\n", fault->where, fault->percent,
			chance(1000000), fault->actions);
	}
	server_script(weather.server, rules);
}

void weather_start(struct server *server, uint64_t seed, uint64_t end_ns)
{
	uint64_t fair_s = soak->seconds / 8;

	if (fair_s < FAIR_END_MIN_S)
		fair_s = FAIR_END_MIN_S;
	weather.server = server;
	weather.random = seed;
	weather.fair_ns = end_ns - fair_s * NS_PER_S;
}

void weather_tick(void)
{
	uint64_t now_ns = clock_now_ns();

	if (now_ns < weather.change_ns)
		return;
	count_faults();
	end_rows();
	weather.change_ns = UINT64_MAX;
	if (now_ns < weather.fair_ns) {
		if (chance(12) == 0)
			play_server(FAULT_AWAY + chance(2));
		choose_rows();
		weather.change_ns = clock_now_ns() + (300 + chance(2700)) * NS_PER_MS;
		if (weather.change_ns > weather.fair_ns)
			weather.change_ns = weather.fair_ns;
	}
	set_rules();
}

void weather_end(void)
{
	server_script(weather.server, "");
}
