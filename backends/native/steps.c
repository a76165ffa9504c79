/* A program that is a list of programs, run one after another: which these are, and where their operands lie, it is
 * told as numbers, before its arguments.
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
typedef struct {
  long function, parallel, bytes, count; /* without a function, bytes are copied from the first place to the second */
  Place places[];
} Step;
typedef struct {
  long scratch, steps; /* where the arena of a step begins in that of the list; how many steps there are */
  Step first;
} List;

static void *address_of(Place at, const List *list, void *const *io, char *arena) {
  switch (at.base) {
  case ARENA: return arena + at.offset;
  case TOLD: return (char *)list + at.offset;
  default: return (char *)io[at.base] + at.offset;
  }
}

static void take_step(const Step *step, const List *list, const fdl_runtime *rt, void *team, void *const *io,
    char *arena, int tid, int threads) {
  void *own[step->count + 1];
  for (long i = 0; i < step->count; i++) own[i] = address_of(step->places[i], list, io, arena);
  if (step->function) ((fdl_program_fn)step->function)(rt, team, own, arena + list->scratch, tid, threads);
  else memcpy(own[1], own[0], (size_t)step->bytes);
}

static void run_steps(const fdl_runtime *rt, void *team, void *const *io, char *arena, int tid, int threads) {
  const List *list = io[-1];
  const Step *step = &list->first;
  for (long i = 0, parallel = 0; i < list->steps; i++, step = (const Step *)&step->places[step->count]) {
    if (i && (parallel || step->parallel)) rt->barrier(team);
    parallel = step->parallel;
    if (parallel) take_step(step, list, rt, team, io, arena, tid, threads);
    else if (tid == 0) take_step(step, list, rt, team_of_one, io, arena, 0, 1);
  }
}

/* list_program() -> address of the program that runs a list */
static PyObject *list_program(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  return PyLong_FromLong((long)run_steps);
}

PyMethodDef steps_functions[] = {{"list_program", (void *)list_program, METH_NOARGS, 0}, {0}};
