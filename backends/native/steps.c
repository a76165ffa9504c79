/* A program that is a list of programs, run one after another: which these are, and where their operands lie, it is
 * told as numbers, before its arguments. Bodies of loops and branches are lists too, inside of the list.
 *
 * Invariants: all threads walk the list. They meet before and after each step that is worth all of them; what lies
 * between is the first thread's.
 */
#include <string.h>
#include "team.h"

enum { ARENA = -1, TOLD = -2 }; /* where a place lies that is no argument and no result */
typedef struct {
  long base, offset; /* number of an argument or result, or one of the above; bytes from there on */
} Place;
enum { COPY, LOOP, BRANCH }; /* in the place of a function: from the first place to the second; see below */
typedef struct {
  long function, parallel, bytes, count; /* `bytes` are those that are copied */
  Place places[];
} Step;
typedef struct {
  long scratch, steps; /* where the arena of a step begins in that of the list; how many steps there are */
  Step first;
} List;

/* What a loop is told: how many turns, or -1 where a test says it; how many operands there are that only the test
 * reads, that stay, that turns hand on, of which each turn reads a slice, and how many results of which each turn
 * writes one. Then bytes: of all that is handed on, and of the slices */
typedef struct {
  long turns, reverse, asked, constants, carried, sliced, stacked, bytes[];
} Turns;

/* Who runs a list */
typedef struct {
  const fdl_runtime *rt;
  void *team;
  int tid, threads;
} Crew;

static void *address_of(Place at, const List *list, void *const *io, char *arena) {
  switch (at.base) {
  case ARENA: return arena + at.offset;
  case TOLD: return (char *)list + at.offset;
  default: return (char *)io[at.base] + at.offset;
  }
}

static void run_list(Crew crew, void *const *io, char *arena);

static char *slice(void *whole, const Turns *t, long turn, long bytes) {
  return (char *)whole + bytes * (t->reverse ? t->turns - 1 - turn : turn);
}

/* places: what it is told; body; test, empty where turns are known; operands; results; other places of what is handed
 * on; what the test says. A turn reads what the turn before wrote, and writes to the other place: the last one, if it
 * is known which that is, to the result */
static void run_loop(Crew crew, void **own, char *arena) {
  const Turns *t = own[0];
  void **asked = own + 3, **operands = asked + t->asked, **first = operands + t->constants, **xs = first + t->carried,
       **results = xs + t->sliced, **ys = results + t->carried, **others = ys + t->stacked;
  const long *strides = t->bytes + t->carried;
  void *args[1 + t->constants + 2 * t->carried + t->sliced + t->stacked], *ask[2 + t->asked + t->carried];
  void **now = args + 1 + t->constants, **slices = now + t->carried, **next = slices + t->sliced;
  args[0] = own[1], ask[0] = own[2];
  memcpy(args + 1, operands, (size_t)(t->constants + t->carried) * sizeof *args);
  memcpy(ask + 1, asked, (size_t)t->asked * sizeof *ask);
  for (long turn = 0; turn != t->turns; turn++) {
    if (t->turns < 0) {
      memcpy(ask + 1 + t->asked, now, (size_t)t->carried * sizeof *ask);
      ask[1 + t->asked + t->carried] = others[t->carried];
      run_list(crew, ask + 1, arena);
      crew.rt->barrier(crew.team);
      if (!*(char *)others[t->carried]) break;
    }
    const int other = t->turns < 0 ? turn & 1 : (t->turns - 1 - turn) & 1;
    for (long i = 0; i < t->carried; i++) next[i] = other ? others[i] : results[i];
    for (long i = 0; i < t->sliced; i++) slices[i] = slice(xs[i], t, turn, strides[i]);
    for (long i = 0; i < t->stacked; i++) next[t->carried + i] = slice(ys[i], t, turn, strides[t->sliced + i]);
    run_list(crew, args + 1, arena);
    crew.rt->barrier(crew.team);
    memcpy(now, next, (size_t)t->carried * sizeof *now);
  }
  for (long i = 0; i < t->carried && crew.tid == 0; i++)
    if (now[i] != results[i]) memcpy(results[i], now[i], (size_t)t->bytes[i]);
}

/* places: how many branches there are; these; which one is taken; operands; results */
static void run_branch(Crew crew, void **own, char *arena) {
  const long branches = *(long *)own[0], index = *(int *)own[1 + branches];
  own[1 + branches] = own[1 + (index < 0 ? 0 : index < branches ? index : branches - 1)];
  run_list(crew, own + 2 + branches, arena);
}

static void take_step(const Step *step, Crew crew, void *const *io, char *arena) {
  const List *list = io[-1];
  void *own[step->count + 1];
  for (long i = 0; i < step->count; i++) own[i] = address_of(step->places[i], list, io, arena);
  arena += list->scratch;
  switch (step->function) {
  case COPY: memcpy(own[1], own[0], (size_t)step->bytes); break;
  case LOOP: run_loop(crew, own, arena); break;
  case BRANCH: run_branch(crew, own, arena); break;
  default: ((fdl_program_fn)step->function)(crew.rt, crew.team, own, arena, crew.tid, crew.threads);
  }
}

static void run_list(Crew crew, void *const *io, char *arena) {
  const List *list = io[-1];
  const Crew alone = {crew.rt, team_of_one, 0, 1};
  const Step *step = &list->first;
  for (long i = 0, parallel = 0; i < list->steps; i++, step = (const Step *)&step->places[step->count]) {
    if (i && (parallel || step->parallel)) crew.rt->barrier(crew.team);
    parallel = step->parallel;
    if (parallel) take_step(step, crew, io, arena);
    else if (crew.tid == 0) take_step(step, alone, io, arena);
  }
}

static void run_steps(const fdl_runtime *rt, void *team, void *const *io, char *arena, int tid, int threads) {
  run_list((Crew){rt, team, tid, threads}, io, arena);
}

/* list_program() -> address of the program that runs a list */
static PyObject *list_program(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  return PyLong_FromLong((long)run_steps);
}

PyMethodDef steps_functions[] = {{"list_program", (void *)list_program, METH_NOARGS, 0}, {0}};
