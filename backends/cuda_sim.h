/* CUDA's words for the host: what kernels of cuda-sim are compiled with.
 *
 * Blocks run one after another. The threads of a block are fibers: each runs until it meets a barrier or its end, then
 * the next one does, and when all stand at the barrier the first one goes on. Shared memory is static.
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

/* What went wrong, or 0 */
static const char *fdl_sim_block(int threads) {
  for (int i = 0; i < threads; i++) fdl_sim_fibers[i].begun = fdl_sim_fibers[i].ended = false;
  for (;;) {
    int waiting = 0;
    for (int i = 0; i < threads; i++) {
      if (fdl_sim_fibers[i].ended) continue;
      fdl_sim_fibers[i].waits = false;
      fdl_sim_resume(i);
      waiting += fdl_sim_fibers[i].waits;
    }
    if (!waiting) return 0;
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
