/* Programs: libraries that the compiler made, run on the memory of arrays.
 *
 * Invariants: an operand is held for the time of a run; memory of an operand becomes that of a result only where the
 * program may write over it and nobody but its array and this call holds it.
 */
#include <dlfcn.h>
#include <string.h>
#include "program.h"

/* The memory of a donated input, where nobody holds it but its array and this call; else a fresh buffer */
static Buffer *output_buffer(const Program *p, int i, PyObject *const *held) {
  const int from = i < p->outputs ? p->in_place[i] : -1;
  if (from >= 0 && held[from]->type == BufferType && held[from]->refcount == 2 &&
      ((Buffer *)held[from])->bytes == p->out_bytes[i]) {
    Py_IncRef(held[from]);
    return (Buffer *)held[from];
  }
  return new_buffer(p->out_bytes[i]);
}

/* Runs a function with an arena of so many bytes, on all threads or on one; 0 with an error where there is no memory */
static int run_with_arena(fdl_program_fn function, void *const *io, long bytes, int threads, int parallel) {
  char *arena = bytes ? take_memory(bytes) : 0;
  if (bytes && !arena) return PyErr_NoMemory(), 0;
  if (parallel) { /* long enough to let other Python threads run */
    void *state = PyEval_SaveThread();
    run_region(function, io, arena, threads);
    PyEval_RestoreThread(state);
  } else {
    run_region(function, io, arena, 1);
  }
  if (arena) give_memory(arena, bytes);
  return 1;
}

/* Runs a program on `io`, whose last entries are filled with the results' buffers; the caller owns them */
static int launch(const Program *p, void **io, PyObject *const *held, Buffer **outs) {
  const int all = p->outputs + p->guards;
  for (int i = 0; i < all; i++) {
    outs[i] = output_buffer(p, i, held);
    if (!outs[i]) {
      while (i--) Py_DecRef(&outs[i]->base);
      return 0;
    }
    io[p->inputs + i] = outs[i]->memory;
  }
  const int threads = p->parallel ? region_threads() : 1;
  if (run_with_arena(p->function, io, p->arena + p->own * threads, threads, p->parallel)) return 1;
  for (int i = 0; i < all; i++) Py_DecRef(&outs[i]->base);
  return 0;
}

/* Stores a Python number as a 0-d input; 0 where it is none, or of a dtype that has no code */
static int store_number(char code, PyObject *x, void *to) {
  switch (code) {
  case 'f': *(float *)to = (float)PyFloat_AsDouble(x); break;
  case 'd': *(double *)to = PyFloat_AsDouble(x); break;
  case 'i': *(int *)to = (int)PyLong_AsLongLong(x); break;
  case 'l': *(long long *)to = PyLong_AsLongLong(x); break;
  case 'I': *(unsigned *)to = (unsigned)PyLong_AsUnsignedLongLongMask(x); break;
  case '?': *(char *)to = (char)PyLong_AsLongLong(x); break;
  default: return 0;
  }
  return !PyErr_Occurred();
}

/* What checks have found; 0 with an error where one has failed, and results are given back */
static int guarded(const Program *p, PyObject *const *operands, Buffer **outs) {
  int failed = 0;
  for (int i = p->outputs; i < p->outputs + p->guards; i++)
    failed |= *(char *)outs[i]->memory, Py_DecRef(&outs[i]->base);
  if (!failed) return 1;
  for (int i = 0; i < p->outputs; i++) Py_DecRef(&outs[i]->base);
  PyObject *inputs = PyTuple_New(p->inputs);
  for (int i = 0; i < p->inputs; i++) PyTuple_SetItem(inputs, i, keep(operands[i]));
  PyObject *never = PyObject_CallFunctionObjArgs(p->refuse, inputs, NULL);
  Py_DecRef(inputs);
  if (never) Py_DecRef(never), fail("a check has failed");
  return 0;
}

int run_arrays(const Program *p, PyObject *const *operands, Buffer **outs) {
  void *places[p->inputs + p->outputs + p->guards + 1], **const io = places + 1;
  double numbers[p->inputs + 1];
  Py_buffer views[p->inputs + 1];
  PyObject *held[p->inputs + 1];
  int n = 0, readable = 1, ok = 0;
  places[0] = p->told;
  for (; n < p->inputs && readable; n++) {
    views[n].obj = 0;
    if ((PyObject *)operands[n]->type != p->array_type) {
      held[n] = keep(operands[n]);
      io[n] = &numbers[n];
      readable = store_number(p->codes[n], operands[n], io[n]);
      continue;
    }
    held[n] = data_in(operands[n]);
    io[n] = held[n] ? data_of(held[n], &views[n]) : 0;
    readable = held[n] && (held[n]->type == BufferType || views[n].obj);
  }
  if (readable) ok = launch(p, io, held, outs);
  for (int i = 0; i < n; i++) {
    if (views[i].obj) PyBuffer_Release(&views[i]);
    if (held[i]) Py_DecRef(held[i]);
  }
  if (readable) return ok && p->guards ? guarded(p, operands, outs) : ok;
  PyErr_Clear();
  DECLINE(unreadable, -1);
}

/* load(path, name) -> address of a program function; libraries stay loaded */
static PyObject *load(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("load: expected 2 arguments");
  void *library = dlopen(PyUnicode_AsUTF8AndSize(args[0], 0), RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, PyUnicode_AsUTF8AndSize(args[1], 0)) : 0;
  return function ? PyLong_FromLong((long)function) : fail(dlerror());
}

/* products(suffix of an element type, path) -> None: programs may multiply matrices of the type from now on */
static PyObject *products(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("products: expected 2 arguments");
  const char *suffix = PyUnicode_AsUTF8AndSize(args[0], 0);
  void *library = dlopen(PyUnicode_AsUTF8AndSize(args[1], 0), RTLD_NOW | RTLD_LOCAL),
       *function = library ? dlsym(library, "fdl_gemm") : 0;
  if (!function) return fail(dlerror());
  const struct {
    const char *suffix;
    void *place;
  } all[] = {{"f32", &runtime_table.gemm_f32}, {"f64", &runtime_table.gemm_f64}, {"bf16", &runtime_table.gemm_bf16},
      {"i8", &runtime_table.gemm_i8}};
  for (int i = 0; i < 4; i++)
    if (!strcmp(suffix, all[i].suffix)) memcpy(all[i].place, &function, sizeof function);
  return nothing();
}

/* call(address of a program function, of its table of arguments, bytes of its arena, whether on all threads) -> None:
 * the caller holds all memory that the table names */
static PyObject *call(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("call: expected 4 arguments");
  const int parallel = (int)PyLong_AsLong(args[3]);
  return run_with_arena((fdl_program_fn)PyLong_AsLong(args[0]), (void *const *)PyLong_AsLong(args[1]),
             PyLong_AsLong(args[2]), parallel ? region_threads() : 1, parallel)
             ? keep(&_Py_NoneStruct)
             : 0;
}

PyMethodDef program_functions[] = {
    {"load", (void *)load, METH_FASTCALL, 0}, {"call", (void *)call, METH_FASTCALL, 0},
    {"products", (void *)products, METH_FASTCALL, 0}, {0}};
