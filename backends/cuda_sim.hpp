/* CUDA's words for the host: what kernels of cuda-sim are compiled with.
 *
 * Blocks run one after another. The threads of a block are fibers: each runs until it meets a barrier or its end, then
 * the next one does, and when all stand at the barrier the first one goes on. Shared memory is static.
 *
 * With FDL_SIM_CHECKED pointers and shared arrays are watched, element by element: an access outside, one of what was
 * never written, and one that meets another thread's with no barrier between them stop the launch.
 */
#ifndef FDL_SIM_CUDA_H
#define FDL_SIM_CUDA_H
#include <setjmp.h>
#include <stdlib.h>
#include <ucontext.h>
extern "C" {
#include "fdl_math.h"
}

#define __global__
#define __shared__ static
#define __syncthreads() fdl_sim_wait()

struct fdl_dim {
  unsigned x, y, z;
};
static fdl_dim threadIdx, blockIdx, blockDim, gridDim;

enum { FDL_SIM_STACK = 1 << 16, FDL_SIM_THREADS = 1024 };
struct fdl_sim_fiber {
  ucontext_t context;
  jmp_buf place;
  bool begun, waits, ended;
};
static fdl_sim_fiber *fdl_sim_fibers;
static char *fdl_sim_stacks;
static jmp_buf fdl_sim_scheduler;
static int fdl_sim_now;
static void (*fdl_sim_body)(void *), *fdl_sim_argument;

static void fdl_sim_wait() {
  fdl_sim_fiber &own = fdl_sim_fibers[fdl_sim_now];
  own.waits = true;
  if (!_setjmp(own.place)) _longjmp(fdl_sim_scheduler, 1);
}

/* What went wrong, or 0: the first thing that did */
static const char *fdl_sim_fault;
static int fdl_sim_epoch;      /* barriers that this block has met */
static unsigned fdl_sim_serial; /* launches so far */

#ifdef FDL_SIM_CHECKED
/* Of an element: who touched it last in which launch, and whether it has a value */
struct fdl_mark {
  unsigned serial, known;
  int block, writer, writer_epoch, reader, reader_epoch; /* threads; -1 is none, -2 several */
};

static void fdl_sim_meet(fdl_mark &m, bool writes) {
  const int block = (int)blockIdx.x, thread = fdl_sim_now;
  if (m.serial != fdl_sim_serial) m = {fdl_sim_serial, m.known, block, -1, 0, -1, 0};
  const bool elsewhere = m.block != block, wrote = m.writer != -1, read = m.reader != -1;
  if (wrote && (elsewhere || (m.writer != thread && m.writer_epoch == fdl_sim_epoch)))
    fdl_sim_fault = "two threads touch one element, one of them writes, and no barrier lies between";
  if (writes && read && (elsewhere || (m.reader != thread && m.reader_epoch == fdl_sim_epoch)))
    fdl_sim_fault = "a thread writes an element that another one reads, and no barrier lies between";
  if (writes) {
    m.block = block, m.writer = thread, m.writer_epoch = fdl_sim_epoch, m.known = 1;
  } else {
    if (!m.known) fdl_sim_fault = "an element is read that nobody has written";
    const bool several = read && (elsewhere || (m.reader != thread && m.reader_epoch == fdl_sim_epoch));
    m.reader = several || (read && m.reader == -2 && m.reader_epoch == fdl_sim_epoch) ? -2 : thread;
    if (!wrote) m.block = block;
    m.reader_epoch = fdl_sim_epoch;
  }
}

/* An element of shared memory */
template <class T> struct fdl_watched {
  T value;
  fdl_mark mark;
  void begin() { /* each block has its own */
    const int block = (int)blockIdx.x;
    if (mark.serial != fdl_sim_serial || mark.block != block) mark = {fdl_sim_serial, 0, block, -1, 0, -1, 0};
  }
  operator T() {
    begin();
    fdl_sim_meet(mark, false);
    return value;
  }
  T operator=(T x) {
    begin();
    fdl_sim_meet(mark, true);
    return value = x;
  }
  T operator=(fdl_watched &x) { return *this = (T)x; }
};

/* An element of a buffer, and a pointer to one: what a launch hands over has this form */
template <class T> struct fdl_place {
  T *value;
  fdl_mark *mark;
  operator T() const {
    if (!mark) return T();
    fdl_sim_meet(*mark, false);
    return *value;
  }
  template <class U> void operator=(U x) const {
    if (!mark) return;
    fdl_sim_meet(*mark, true);
    *value = x;
  }
};
template <class T> struct fdl_checked {
  T *values;
  fdl_mark *marks;
  long count;
  fdl_place<T> operator[](long i) const {
    if (i < 0 || i >= count) {
      fdl_sim_fault = "an element outside of its buffer is touched";
      return {0, 0};
    }
    return {values + i, marks + i};
  }
};
#endif

static void fdl_sim_enter() {
  fdl_sim_body(fdl_sim_argument);
  fdl_sim_fibers[fdl_sim_now].ended = true;
  _longjmp(fdl_sim_scheduler, 1);
}

static void fdl_sim_resume(int thread) {
  fdl_sim_fiber &f = fdl_sim_fibers[thread];
  fdl_sim_now = thread;
  threadIdx.x = thread;
  if (_setjmp(fdl_sim_scheduler)) return;
  if (f.begun) _longjmp(f.place, 1);
  f.begun = true;
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = fdl_sim_stacks + (long)thread * FDL_SIM_STACK;
  f.context.uc_stack.ss_size = FDL_SIM_STACK;
  f.context.uc_link = 0;
  makecontext(&f.context, fdl_sim_enter, 0);
  setcontext(&f.context);
}

static const char *fdl_sim_block(int threads) {
  for (int i = 0; i < threads; i++) fdl_sim_fibers[i].begun = fdl_sim_fibers[i].ended = false;
  for (fdl_sim_epoch = 0;; fdl_sim_epoch++) {
    int waiting = 0;
    for (int i = 0; i < threads; i++) {
      if (fdl_sim_fibers[i].ended) continue;
      fdl_sim_fibers[i].waits = false;
      fdl_sim_resume(i);
      waiting += fdl_sim_fibers[i].waits;
    }
    if (fdl_sim_fault || !waiting) return fdl_sim_fault;
    if (waiting < threads) return "some threads of a block wait at a barrier that others never reach";
  }
}

static const char *fdl_sim_run(long blocks, int threads, void (*body)(void *), void *argument) {
  if (threads > FDL_SIM_THREADS) return "a block has too many threads";
  if (!fdl_sim_fibers) {
    fdl_sim_fibers = (fdl_sim_fiber *)malloc(sizeof(fdl_sim_fiber) * FDL_SIM_THREADS);
    fdl_sim_stacks = (char *)malloc((long)FDL_SIM_STACK * FDL_SIM_THREADS);
    if (!fdl_sim_fibers || !fdl_sim_stacks) return "no memory for threads";
  }
  fdl_sim_fault = 0;
  fdl_sim_serial++;
  fdl_sim_body = body;
  fdl_sim_argument = argument;
  blockDim = {(unsigned)threads, 1, 1};
  gridDim = {(unsigned)blocks, 1, 1};
  for (long i = 0; i < blocks; i++) {
    blockIdx = {(unsigned)i, 0, 0};
    const char *said = fdl_sim_block(threads);
    if (said) return said;
  }
  return 0;
}

/* A kernel with the addresses of its arguments, as a launch hands them over */
template <int... I> struct fdl_sim_places {};
template <int N, int... I> struct fdl_sim_count : fdl_sim_count<N - 1, N - 1, I...> {};
template <int... I> struct fdl_sim_count<0, I...> {
  typedef fdl_sim_places<I...> type;
};
template <class... A, int... I> static void fdl_sim_call(void (*kernel)(A...), void **given, fdl_sim_places<I...>) {
  kernel(*(A *)given[I]...);
}
template <class... A> static void fdl_sim_apply(void (*kernel)(A...), void **given) {
  fdl_sim_call(kernel, given, typename fdl_sim_count<sizeof...(A)>::type());
}
#define FDL_SIM_LAUNCHER(kernel)                                                               \
  extern "C" const char *fdl_sim_##kernel(long long blocks, int threads, void **given) {       \
    return fdl_sim_run(blocks, threads, [](void *a) { fdl_sim_apply(kernel, (void **)a); }, given); \
  }
#endif
