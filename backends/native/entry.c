/* The entry from Python to compiled programs: a callable that takes lists of arrays, slots of a recording, or whole
 * trees of arguments, and is answered in kind.
 *
 * Invariants: it answers `NotImplemented`, and changes nothing, where a call is not of the signature that it was made
 * for, or an operand cannot be read as it is.  What was donated is marked within the call, so that no signal comes
 * before it is said that it is gone.
 */
#include <stdlib.h>
#include <string.h>
#include "program.h"

/* The structure of a tree of arrays, as `pattern_of` in c.py says it: only classes that come apart the same way for
 * everybody */
enum { LEAF, TUPLE, LIST, DICT, NONE };
typedef struct Tree {
  int kind, count;
  PyObject *keys;
  struct Tree *children;
} Tree;

typedef struct {
  Program program;
  int captured;       /* arrays that come before the arguments' leaves */
  char *gone;         /* for each argument's leaf whether it is donated */
  Tree given, result; /* of `fast` */
  PyObject *in_avals, *out_avals, *captures, *declined, *patterns, *donated;
} Entry;

static int make_tree(PyObject *pattern, Tree *t) { /* the pattern is kept by the program, and with it the keys */
  t->kind = (int)PyLong_AsLong(PyTuple_GetItem(pattern, 0));
  const int first = t->kind == DICT ? 2 : 1;
  t->keys = t->kind == DICT ? PyTuple_GetItem(pattern, 1) : 0;
  t->count = (int)PyTuple_Size(pattern) - first;
  t->children = calloc((size_t)t->count + 1, sizeof(Tree));
  for (int i = 0; i < t->count; i++)
    if (!t->children || !make_tree(PyTuple_GetItem(pattern, first + i), &t->children[i])) return 0;
  return t->children != 0;
}

static void free_tree(Tree *t) {
  for (int i = 0; t->children && i < t->count; i++) free_tree(&t->children[i]);
  free(t->children);
}

/* The leaves of `x`, borrowed; 0 where it has another structure */
static int take_apart(const Tree *t, PyObject *x, PyObject **leaves, long *n) {
  switch (t->kind) {
  case LEAF: leaves[(*n)++] = x; return 1;
  case NONE: return x == &_Py_NoneStruct;
  case TUPLE:
    if (x->type != &PyTuple_Type || PyTuple_Size(x) != t->count) return 0;
    for (int i = 0; i < t->count; i++)
      if (!take_apart(&t->children[i], PyTuple_GetItem(x, i), leaves, n)) return 0;
    return 1;
  case LIST:
    if (x->type != &PyList_Type || PyList_Size(x) != t->count) return 0;
    for (int i = 0; i < t->count; i++)
      if (!take_apart(&t->children[i], PyList_GetItem(x, i), leaves, n)) return 0;
    return 1;
  default:
    if (x->type != &PyDict_Type || PyDict_Size(x) != t->count) return 0;
    for (int i = 0; i < t->count; i++) {
      PyObject *child = PyDict_GetItemWithError(x, PyTuple_GetItem(t->keys, i));
      if (!child) {
        PyErr_Clear();
        return 0;
      }
      if (!take_apart(&t->children[i], child, leaves, n)) return 0;
    }
    return 1;
  }
}

/* The tree of these leaves; takes their references */
static PyObject *put_together(const Tree *t, PyObject **leaves, long *n) {
  PyObject *out;
  switch (t->kind) {
  case LEAF: return leaves[(*n)++];
  case NONE: return keep(&_Py_NoneStruct);
  case TUPLE:
    out = PyTuple_New(t->count);
    for (int i = 0; out && i < t->count; i++) PyTuple_SetItem(out, i, put_together(&t->children[i], leaves, n));
    return out;
  case LIST:
    out = PyList_New(t->count);
    for (int i = 0; out && i < t->count; i++) PyList_SetItem(out, i, put_together(&t->children[i], leaves, n));
    return out;
  default:
    out = PyDict_New();
    for (int i = 0; out && i < t->count; i++) {
      PyObject *child = put_together(&t->children[i], leaves, n);
      PyDict_SetItem(out, PyTuple_GetItem(t->keys, i), child);
      Py_DecRef(child);
    }
    return out;
  }
}

/* ---- Calls ---- */

static PyObject *declined(Entry *e) { return keep(e->declined); }

/* The results' arrays; takes the references to their buffers */
static PyObject *result(Entry *e, int i, Buffer *data) {
  PyObject *array = new_array(e->program.array_type, PyTuple_GetItem(e->out_avals, i), &data->base);
  Py_DecRef(&data->base);
  return array;
}

/* run(list of arrays) -> list of operands */
static PyObject *run(PyObject *self, PyObject *list) {
  Entry *e = PyCapsule_GetPointer(self, "fdl");
  const Program *p = &e->program;
  if (PyList_Size(list) != p->inputs) return fail("a compiled program got a wrong number of inputs");
  PyObject *operands[p->inputs + 1];
  Buffer *outs[p->outputs + p->guards + 1];
  for (int i = 0; i < p->inputs; i++) operands[i] = PyList_GetItem(list, i);
  const int ok = run_arrays(p, operands, outs);
  if (ok <= 0) return ok ? declined(e) : 0;
  for (int i = 0; i < p->inputs; i++)
    if (e->gone[i] && (PyObject *)operands[i]->type == p->array_type) set_data(operands[i], e->donated);
  PyObject *results = PyList_New(p->outputs);
  for (int i = 0; i < p->outputs; i++) PyList_SetItem(results, i, result(e, i, outs[i]));
  return results;
}

/* The leaves of arguments, borrowed, behind what was captured; how many there are together, -1 for another signature,
 * -2 with an error */
static long leaves_of(Entry *e, PyObject *const *args, long count, PyObject **operands) {
  if (count != e->given.count) DECLINE(structure, -1);
  long n = e->captured;
  for (int i = 0; i < e->captured; i++) operands[i] = PyTuple_GetItem(e->captures, i);
  for (long i = 0; i < count; i++)
    if (!take_apart(&e->given.children[i], args[i], operands, &n)) DECLINE(structure, -1);
  for (long i = e->captured; i < n; i++) {
    if ((PyObject *)operands[i]->type != e->program.array_type) DECLINE(types, -1);
    PyObject *aval = aval_of(operands[i]);
    if (!aval) return -2;
    if (aval != PyTuple_GetItem(e->in_avals, i - e->captured)) DECLINE(types, -1);
  }
  return n;
}

/* fast(*trees) -> tree */
static PyObject *fast(PyObject *self, PyObject *const *args, long count) {
  Entry *e = PyCapsule_GetPointer(self, "fdl");
  const Program *p = &e->program;
  PyObject *operands[p->inputs + 1], *results[p->outputs + 1];
  Buffer *outs[p->outputs + p->guards + 1];
  long n = leaves_of(e, args, count, operands);
  if (n < 0) return n == -1 ? declined(e) : 0;
  const int ok = run_arrays(p, operands, outs);
  if (ok <= 0) return ok ? declined(e) : 0;
  for (long i = e->captured; i < n; i++)
    if (e->gone[i - e->captured]) set_data(operands[i], e->donated);
  for (int i = 0; i < p->outputs; i++) results[i] = result(e, i, outs[i]);
  n = 0;
  return put_together(&e->result, results, &n);
}

/* fill(values, slots of inputs, slots of results) -> None: runs on arrays and numbers, and results become the data of
 * the arrays */
static PyObject *fill(PyObject *self, PyObject *const *args, long count) {
  Entry *e = PyCapsule_GetPointer(self, "fdl");
  const Program *p = &e->program;
  if (count != 3 || PyList_Size(args[1]) != p->inputs || PyList_Size(args[2]) != p->outputs)
    return fail("a compiled program got a wrong number of inputs or results");
  PyObject *operands[p->inputs + 1];
  Buffer *outs[p->outputs + p->guards + 1];
  for (int i = 0; i < p->inputs; i++) operands[i] = PyList_GetItem(args[0], PyLong_AsLong(PyList_GetItem(args[1], i)));
  const int ok = run_arrays(p, operands, outs);
  if (ok <= 0) return ok ? declined(e) : 0;
  for (int i = 0; i < p->outputs; i++) {
    set_data(PyList_GetItem(args[0], PyLong_AsLong(PyList_GetItem(args[2], i))), &outs[i]->base);
    Py_DecRef(&outs[i]->base);
  }
  return keep(&_Py_NoneStruct);
}

/* ---- Making one ---- */

static void entry_free(PyObject *capsule) {
  Entry *e = PyCapsule_GetPointer(capsule, "fdl");
  PyObject *owned[] = {e->program.array_type, e->program.refuse, e->program.teller, e->in_avals, e->out_avals,
      e->captures, e->declined, e->patterns, e->donated};
  for (unsigned i = 0; i < sizeof owned / sizeof *owned; i++)
    if (owned[i]) Py_DecRef(owned[i]);
  void *memory[] = {e->program.out_bytes, e->program.in_place, e->program.codes, e->gone};
  for (unsigned i = 0; i < sizeof memory / sizeof *memory; i++) free(memory[i]);
  free_tree(&e->given);
  free_tree(&e->result);
  free(e);
}

/* The program of an entry, from the arguments of `program`; 0 where there is no memory */
static int fill_program(Program *p, PyObject *const *args) {
  p->function = (fdl_program_fn)PyLong_AsLong(PyTuple_GetItem(args[0], 0));
  p->teller = keep(PyTuple_GetItem(args[0], 1));
  if (p->teller != &_Py_NoneStruct) {
    Py_buffer view = {.obj = 0};
    p->told = data_of(p->teller, &view); /* which stays where it is for as long as its owner lives */
    if (view.obj) PyBuffer_Release(&view);
    if (!p->told) return 0;
  }
  p->inputs = (int)PyLong_AsLong(args[1]);
  p->guards = (int)PyLong_AsLong(PyTuple_GetItem(args[16], 0));
  p->refuse = keep(PyTuple_GetItem(args[16], 1));
  p->outputs = (int)PyTuple_Size(args[2]) - p->guards;
  p->arena = PyLong_AsLong(PyTuple_GetItem(args[3], 0)), p->own = PyLong_AsLong(PyTuple_GetItem(args[3], 1));
  p->parallel = (int)PyLong_AsLong(args[4]);
  p->array_type = keep(args[5]);
  const int all = p->outputs + p->guards;
  p->out_bytes = calloc((size_t)all + 1, sizeof(long));
  p->in_place = calloc((size_t)p->outputs + 1, sizeof(int));
  p->codes = calloc((size_t)p->inputs + 1, 1);
  if (!p->out_bytes || !p->in_place || !p->codes) return 0;
  for (int i = 0; i < all; i++) p->out_bytes[i] = PyLong_AsLong(PyTuple_GetItem(args[2], i));
  for (int i = 0; i < p->outputs; i++) p->in_place[i] = (int)PyLong_AsLong(PyTuple_GetItem(args[12], i));
  memcpy(p->codes, PyUnicode_AsUTF8AndSize(args[13], 0), (size_t)p->inputs);
  return 1;
}

/* The rest of an entry; 0 where there is no memory */
static int fill_entry(Entry *e, PyObject *const *args) {
  e->in_avals = keep(args[6]), e->out_avals = keep(args[7]), e->captures = keep(args[8]), e->patterns = keep(args[9]);
  e->declined = keep(args[10]), e->donated = keep(args[15]);
  e->captured = (int)PyTuple_Size(args[8]);
  long flags;
  const char *gone = PyUnicode_AsUTF8AndSize(args[14], &flags);
  e->gone = calloc((size_t)flags + 1, 1);
  for (long i = 0; e->gone && i < flags; i++) e->gone[i] = gone[i] == '1';
  return e->gone && (PyTuple_Size(e->patterns) != 2 || (make_tree(PyTuple_GetItem(e->patterns, 0), &e->given) &&
                                                           make_tree(PyTuple_GetItem(e->patterns, 1), &e->result)));
}

static PyMethodDef kinds[] = {{"run", (void *)run, METH_O, 0}, {"fast", (void *)fast, METH_FASTCALL, 0},
    {"fill", (void *)fill, METH_FASTCALL, 0}};

/* program((address, what it is told or None), inputs, out_bytes, (bytes of the arena, of each thread), parallel,
 * array_type, in_avals, out_avals, captures, (patterns of arguments, of the result), declined, kind, in_place, codes,
 * donated leaves, what stands in their place, (number of guards, who raises where one fails)) -> callable: run, fast or
 * fill */
static PyObject *program(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 17) return fail("program: expected 17 arguments");
  Entry *e = calloc(1, sizeof *e);
  PyObject *capsule = e ? PyCapsule_New(e, "fdl", entry_free) : 0, *made = 0;
  if (!capsule) return e ? (free(e), (PyObject *)0) : PyErr_NoMemory();
  made = fill_program(&e->program, args) && fill_entry(e, args)
             ? PyCFunction_NewEx(&kinds[PyLong_AsLong(args[11])], capsule, 0)
             : PyErr_NoMemory();
  Py_DecRef(capsule);
  return made;
}

PyMethodDef entry_functions[] = {{"program", (void *)program, METH_FASTCALL, 0}, {0}};
