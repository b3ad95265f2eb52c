/*
 * guard.c - the signals of failed pages: pagein_guard(), and the handler.
 *
 * The handler is installed when the first guard or the first map with PAGEIN_INLINE asks for it,
 * for SIGBUS, and for SIGSEGV where failed pages are PROT_NONE: there at once, or else when the
 * first page is barred because the kernel refuses to poison it. It stays, since others may have
 * built on it. It runs with all signals blocked, so that nothing comes between the steps of
 * map_touch.c, and takes over SA_ONSTACK and SA_RESTART from the handler that it found: this one
 * shall run on the stack that it expects. Where it found none it uses the alternate stack if the
 * thread has one, and a few hundred bytes of it.
 *
 * What is not ours goes to the handler that was there, as the kernel would have called it: with the
 * mask that it asked for, once if it is SA_RESETHAND. SIG_DFL: it is set, and the touch, which
 * comes again when the handler returns, or raise(3) ends the process, with the right address in the
 * core. SIG_IGN: a signal that was sent is ignored; one of a touch can't be, as ever.
 *
 * A guard is a sigjmp_buf in its caller's frame, on a list of the thread's own. The list is in
 * initial-exec TLS, because other TLS may be allocated when it is touched first, and that may be in
 * the handler.
 *
 * Threads: any. The lock of the address table guards installing, for fork(2) waits for it. The
 * handlers that were there are written before ours can run, and changed by compare-and-swap.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "address.h"
#include "context.h"
#include "guard.h"
#include "map_touch.h"
#include "pagein.h"
#include "uffd.h"

#define AGAIN_MAX 1000 /* a page that is there and yet raises SIGBUS: the memory is broken */

struct guard {
	struct guard *outer;
	int err;
	sigjmp_buf back;
};

/* The handler that was there. */
struct chained {
	_Atomic(const struct sigaction *) action; /* NULL: ours is not installed */
	struct sigaction found;
};

static __attribute__((tls_model("initial-exec"))) _Thread_local struct guard *innermost;
/* The last touch that was to be made again, and how often. */
static __attribute__((tls_model("initial-exec"))) _Thread_local uintptr_t again_at;
static __attribute__((tls_model("initial-exec"))) _Thread_local unsigned again_count;

static atomic_bool installed;
static atomic_bool bars; /* some page is PROT_NONE, or is about to be */
static struct chained chained_bus, chained_segv;
static const struct sigaction default_action = {.sa_handler = SIG_DFL};

/* ---- the others' signals --------------------------------------------------------------------- */

static struct chained *chained_of(int number)
{
	return number == SIGBUS ? &chained_bus : &chained_segv;
}

/* The kernel's own call: libc's leaves out two signals, and may be somebody's wrapper. */
static void set_mask(uint64_t mask)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
}

static uint64_t mask_of(const sigset_t *set)
{
	uint64_t mask;

	memcpy(&mask, set, sizeof mask);
	return mask;
}

/* Was it a touch, or did somebody send it? */
static bool is_touch(const siginfo_t *info)
{
	return info->si_code > 0 && info->si_code != SI_KERNEL;
}

static void die_of(int number, const siginfo_t *info)
{
	sigaction(number, &default_action, NULL);
	/* Delivered when the handler has returned. */
	if (!is_touch(info))
		syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), number);
}

static void call_chained(
	const struct sigaction *action, int number, siginfo_t *info, ucontext_t *context)
{
	uint64_t mask = mask_of(&context->uc_sigmask) | mask_of(&action->sa_mask);

	if (!(action->sa_flags & SA_NODEFER))
		mask |= UINT64_C(1) << (number - 1);
	set_mask(mask);
	if (action->sa_flags & SA_SIGINFO)
		action->sa_sigaction(number, info, context);
	else
		action->sa_handler(number);
}

static void pass_on(int number, siginfo_t *info, ucontext_t *context)
{
	struct chained *chained = chained_of(number);
	const struct sigaction *action = atomic_load(&chained->action);

	while (((unsigned)action->sa_flags & SA_RESETHAND) &&
		!atomic_compare_exchange_weak(&chained->action, &action, &default_action))
		;
	if (action->sa_handler == SIG_DFL)
		die_of(number, info);
	else if (action->sa_handler != SIG_IGN)
		call_chained(action, number, info, context);
	else if (is_touch(info))
		die_of(number, info);
}

/* ---- ours ---------------------------------------------------------------------------------- */

/* Can this be a page of a map? BUS_MCEERR_AO is about none that was touched. */
static bool is_about_a_page(int number, const siginfo_t *info)
{
	if (number == SIGSEGV)
		return info->si_code == SEGV_ACCERR;
	return info->si_code == BUS_ADRERR || info->si_code == BUS_MCEERR_AR;
}

/* A touch that comes again for ever is none that we can do anything about. */
static enum ask_answer limit_again(uintptr_t address)
{
	if (address != again_at)
		again_count = 0;
	again_at = address;
	return ++again_count > AGAIN_MAX ? ASK_FOREIGN : ASK_AGAIN;
}

static enum ask_answer resolve(int number, const siginfo_t *info, ucontext_t *context, int *ret_err)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	enum ask_answer answer;

	if (!is_about_a_page(number, info))
		return ASK_FOREIGN;
	answer = touch_resolve(number, address, innermost != NULL, &context->uc_sigmask, ret_err);
	if (answer == ASK_AGAIN && info->si_code == BUS_MCEERR_AR)
		return limit_again(address);
	return answer;
}

static void on_signal(int number, siginfo_t *info, void *argument)
{
	ucontext_t *context = argument;
	struct guard *guard = innermost;
	int saved = errno, err = 0;
	enum ask_answer answer = resolve(number, info, context, &err);

	if (answer == ASK_FAILED && guard) {
		guard->err = err;
		siglongjmp(guard->back, 1);
	}
	if (answer != ASK_AGAIN)
		pass_on(number, info, context);
	errno = saved;
}

/* Under the lock. */
static int install(int number)
{
	struct chained *chained = chained_of(number);
	struct sigaction ours = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	if (atomic_load(&chained->action))
		return 0;
	if (sigaction(number, NULL, &chained->found) < 0)
		return -errno;
	if (chained->found.sa_handler == SIG_DFL || chained->found.sa_handler == SIG_IGN)
		ours.sa_flags |= SA_ONSTACK | SA_RESTART;
	else
		ours.sa_flags |= chained->found.sa_flags & (SA_ONSTACK | SA_RESTART);
	/* All, libc's own two included. */
	memset(&ours.sa_mask, 0xff, sizeof ours.sa_mask);
	/* What it passes on to is known before it may be called. */
	atomic_store(&chained->action, &chained->found);
	if (sigaction(number, &ours, NULL) == 0)
		return 0;
	atomic_store(&chained->action, NULL);
	return -errno;
}

int guard_install(void)
{
	bool poisons;
	int err;

	if (atomic_load(&installed))
		return 0;
	poisons = uffd_has_poison();
	address_hold();
	err = install(SIGBUS);
	if (err == 0 && (!poisons || atomic_load(&bars)))
		err = install(SIGSEGV);
	atomic_store(&installed, err == 0);
	address_release();
	return err < 0 ? context_fail(err, "guard: sigaction: %s", strerrordesc_np(-err)) : 0;
}

void guard_expect_bars(void)
{
	if (atomic_load(&bars))
		return;
	address_hold();
	atomic_store(&bars, true);
	/* There is nobody to tell; without it the signal is as it is outside of a guard. */
	if (atomic_load(&installed))
		(void)install(SIGSEGV);
	address_release();
}

void guard_forget(void)
{
	atomic_store(&installed, false);
	atomic_store(&bars, false);
	atomic_store(&chained_bus.action, NULL);
	atomic_store(&chained_segv.action, NULL);
}

int pagein_guard(int (*function)(void *argument), void *argument)
{
	struct guard guard = {.outer = innermost};
	int result = guard_install();

	if (result < 0)
		return result;
	/* It saves the mask: the handler's has all signals blocked. */
	if (sigsetjmp(guard.back, 1) != 0) {
		innermost = guard.outer;
		return context_fail(guard.err, "guard: a page could not be had: %s",
			strerrordesc_np(-guard.err));
	}
	innermost = &guard;
	result = function(argument);
	innermost = guard.outer;
	return result;
}
