/* The team of threads: one region at a time, in which each thread runs the whole program and does its shares.
 *
 * Workers spin for some milliseconds after a region, then sleep.  Denormals are flushed to zero for the time of a call.
 * Invariants: workers touch `region` only between two values of its epoch; a worker joins the first region that begins
 * after its birth.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include "team.h"

/* ---- Denormals are flushed to zero for the time of a call ---- */

#if defined(__x86_64__) || defined(__i386__)
static unsigned flush_denormals(void) {
  unsigned old = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(old | 0x8040u);
  return old;
}
static void restore_denormals(unsigned old) { __builtin_ia32_ldmxcsr(old); }
static inline void pause_cpu(void) { __builtin_ia32_pause(); }
#elif defined(__aarch64__)
static unsigned flush_denormals(void) {
  unsigned long old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" ::"r"(old | (1ul << 24)));
  return (unsigned)old;
}
static void restore_denormals(unsigned old) { __asm__ volatile("msr fpcr, %0" ::"r"((unsigned long)old)); }
static inline void pause_cpu(void) { __asm__ volatile("yield"); }
#else
static unsigned flush_denormals(void) { return 0; }
static void restore_denormals(unsigned old) { (void)old; }
static inline void pause_cpu(void) {}
#endif

/* ---- Threads ---- */

enum { MAX_THREADS = 256, SPINS = 4000 };

typedef struct {
  _Alignas(64) atomic_int arrived;
  _Alignas(64) atomic_int generation;
  int threads;
} team_t;

static struct {
  _Alignas(
      64) atomic_ulong epoch; /* count of regions * 2^16 + threads of the current one: a worker judges by one read */
  _Alignas(64) atomic_int running;
  fdl_program_fn program;
  void *const *io;
  char *arena;
  team_t team;
  int workers; /* threads that exist besides callers */
  pthread_mutex_t entry, sleep;
  pthread_cond_t wake;
} region = {.entry = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static team_t one = {.threads = 1};
void *const team_of_one = &one;

static void barrier(void *team_) {
  team_t *team = team_;
  if (team->threads == 1) return;
  const int generation = atomic_load_explicit(&team->generation, memory_order_relaxed);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->threads - 1) {
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&team->generation, generation + 1, memory_order_release);
    return;
  }
  for (int spins = 0; atomic_load_explicit(&team->generation, memory_order_acquire) == generation; spins++)
    if (spins < SPINS) pause_cpu();
    else sched_yield();
}

fdl_runtime runtime_table = {
    .barrier = barrier}; /* products are libraries of their own, which come when a program needs them */

static long nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

/* Spin for some milliseconds, then sleep until the epoch moves on */
static unsigned long next_epoch(unsigned long seen) {
  unsigned long now;
  const long until = nanoseconds() + 4000000L;
  for (int spins = 1; (now = atomic_load_explicit(&region.epoch, memory_order_acquire)) == seen; spins++) {
    pause_cpu();
    if (spins % 2048 == 0) {
      sched_yield();
      if (nanoseconds() > until) break;
    }
  }
  if (now != seen) return now;
  pthread_mutex_lock(&region.sleep);
  while ((now = atomic_load_explicit(&region.epoch, memory_order_acquire)) == seen)
    pthread_cond_wait(&region.wake, &region.sleep);
  pthread_mutex_unlock(&region.sleep);
  return now;
}

static unsigned long born[MAX_THREADS]; /* the epoch at each worker's start: it joins the next one */

static void *work(void *number) {
  const int tid = (int)(long)number;
  unsigned long seen = born[tid];
  flush_denormals();
  for (;;) {
    seen = next_epoch(seen);
    const int threads = (int)(seen & 0xFFFF);
    if (tid < threads) {
      region.program(&runtime_table, &region.team, region.io, region.arena, tid, threads);
      atomic_fetch_sub_explicit(&region.running, 1, memory_order_acq_rel);
    }
  }
  return 0;
}

void after_fork(void) {
  region.workers = 0;
  atomic_store(&region.running, 0);
  pthread_mutex_init(&region.entry, 0);
  pthread_mutex_init(&region.sleep, 0);
  pthread_cond_init(&region.wake, 0);
}

static int start_workers(int threads) {
  while (region.workers < threads - 1) {
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    born[region.workers + 1] = atomic_load(&region.epoch);
    const int failed = pthread_create(&thread, &attr, work, (void *)(long)(region.workers + 1));
    pthread_attr_destroy(&attr);
    if (failed) break;
    region.workers++;
  }
  return region.workers + 1 < threads ? region.workers + 1 : threads;
}

void run_region(fdl_program_fn program, void *const *io, char *arena, int threads) {
  const unsigned saved = flush_denormals();
  if (threads == 1) {
    program(&runtime_table, team_of_one, io, arena, 0, 1);
    restore_denormals(saved);
    return;
  }
  pthread_mutex_lock(&region.entry);
  threads = start_workers(threads);
  region.program = program;
  region.io = io;
  region.arena = arena;
  region.team.threads = threads;
  atomic_store(&region.team.arrived, 0);
  atomic_store_explicit(&region.running, threads - 1, memory_order_relaxed);
  pthread_mutex_lock(&region.sleep);
  const unsigned long count = atomic_load_explicit(&region.epoch, memory_order_relaxed) >> 16;
  atomic_store_explicit(&region.epoch, (count + 1) << 16 | (unsigned long)threads, memory_order_release);
  pthread_cond_broadcast(&region.wake);
  pthread_mutex_unlock(&region.sleep);
  program(&runtime_table, &region.team, io, arena, 0, threads);
  for (int spins = 0; atomic_load_explicit(&region.running, memory_order_acquire) > 0; spins++)
    if (spins < SPINS) pause_cpu();
    else sched_yield();
  pthread_mutex_unlock(&region.entry);
  restore_denormals(saved);
}

/* ---- How many ---- */

static int max_threads = 1;

int region_threads(void) { return max_threads < MAX_THREADS ? max_threads : MAX_THREADS; }

/* set_threads(count) -> count: of the regions that begin from now on */
static PyObject *set_threads(PyObject *self, PyObject *count) {
  (void)self;
  max_threads = (int)PyLong_AsLong(count);
  return PyLong_FromLong(max_threads);
}

PyMethodDef team_functions[] = {{"set_threads", (void *)set_threads, METH_O, 0}, {0}};
