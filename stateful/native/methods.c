/* Methods of tensors that are one recorded function: a hit takes no Python at all.  What is asked otherwise, the twin,
 * is the method that Python defines, see `method` and `add_conversion` in stateful/core/methods.py.
 *
 * A method is in place, `x.add_(y)`, and answers with its tensor; or it has static parameters, a dtype, and is a
 * conversion, which answers with its tensor where that has the dtype already.
 */
#include "tensor.h"

enum { METHODS = 128 };
static struct {
  PyObject *function, *statics, *twin;
  long others; /* operands besides the tensor */
  PyMethodDef definition;
} methods_of[METHODS];
static int method_count;

static struct {
  PyObject *recorders, *running, *grad_mode, *order, *finish;
  PyObject *recorder_name, *plain_name, *enabled_name, *dtype_name;
} ways; /* what all methods ask */

static int is_number(PyObject *x) { return x->type == &PyFloat_Type || x->type == &PyLong_Type; }

/* Whether arguments are plain: a tensor, and as many operands as there have to be, which are numbers or tensors of
 * other memory */
static int plain_arguments(int k, PyObject *x, PyObject *const *args, long count, long named) {
  if ((PyObject *)x->type != tensor_type) DECLINE(subclass, 0);
  if (named || count != methods_of[k].others) DECLINE(arguments, 0);
  if (!count || is_number(args[0])) return 1;
  if ((PyObject *)args[0]->type != tensor_type) DECLINE(arguments, 0);
  if (args[0] != x && SLOT(args[0], tensors.storage) == SLOT(x, tensors.storage)) DECLINE(overlap, 0);
  return 1;
}

/* The result of a hit, None, or 0 and an error; see `change` and `apply` */
static PyObject *tried(int k, PyObject *x, PyObject *const *args, long count) {
  PyObject *recorder = PyObject_GetAttr(ways.recorders, ways.recorder_name),
           *inside = recorder ? PyObject_CallNoArgs(ways.running) : 0, *result = 0;
  if (inside && (inside != &_Py_NoneStruct || get(recorder, ways.plain_name) != &_Py_TrueStruct)) {
    BECAUSE(special);
    result = nothing();
  } else if (inside) {
    PyObject *operands = count ? PyTuple_Pack(2, x, args[0]) : PyTuple_Pack(1, x),
             *tracked = get(ways.grad_mode, ways.enabled_name);
    PyObject *const given[] = {recorder, methods_of[k].function, operands, methods_of[k].statics, tracked, ways.order};
    result = PyTuple_Size(methods_of[k].statics) ? apply(0, given, 6) : change(0, given, 6);
    Py_DecRef(operands);
  }
  if (recorder) Py_DecRef(recorder);
  if (inside) Py_DecRef(inside);
  return result;
}

/* Whether a tensor has the dtype that a conversion asks for */
static int has_dtype(PyObject *x, PyObject *dtype) {
  Now state;
  return now(x, &state) && (PyObject *)state.array->type == arrays.type &&
         get(SLOT(state.array, arrays.aval), ways.dtype_name) == dtype;
}

/* What a method answers by itself: a tensor, None, or 0 with an error */
static PyObject *answer(int k, PyObject *x, PyObject *const *args, long count) {
  PyObject *statics = methods_of[k].statics;
  const int converts = PyTuple_Size(statics) != 0;
  if (converts && has_dtype(x, PyTuple_GetItem(statics, 0))) return keep(x);
  PyObject *result = tried(k, x, args, count);
  if (!result || result == &_Py_NoneStruct || converts) return result;
  PyObject *changed = result == &_Py_TrueStruct ? keep(x) : PyObject_CallFunctionObjArgs(ways.finish, x, result, NULL);
  Py_DecRef(result);
  return changed;
}

static PyObject *call_method(int k, PyObject *x, PyObject *const *args, long count, PyObject *names) {
  const long named = names ? PyTuple_Size(names) : 0;
  if (plain_arguments(k, x, args, count, named)) {
    PyObject *result = answer(k, x, args, count);
    if (result != &_Py_NoneStruct) return result;
    Py_DecRef(result);
  }
  PyObject *all[64];
  if (count + named > 63) return fail("too many arguments");
  all[0] = x;
  for (long i = 0; i < count + named; i++) all[i + 1] = args[i];
  return PyObject_Vectorcall(methods_of[k].twin, all, (size_t)count + 1, names);
}

/* A function for each method, since none is told which method it is */
// clang-format off
#define FDL_METHOD(k)                                                                            \
  static PyObject *method_##k(PyObject *x, PyObject *const *args, long count, PyObject *names) { \
    return call_method(0x##k, x, args, count, names);                                            \
  }
#define FDL_NAME(k) (void *)method_##k,
#define FDL_ROW(each, a)                                                                       \
  each(a##0) each(a##1) each(a##2) each(a##3) each(a##4) each(a##5) each(a##6) each(a##7)      \
  each(a##8) each(a##9) each(a##A) each(a##B) each(a##C) each(a##D) each(a##E) each(a##F)
#define FDL_ALL(each)                                                                          \
  FDL_ROW(each, 0) FDL_ROW(each, 1) FDL_ROW(each, 2) FDL_ROW(each, 3)                          \
  FDL_ROW(each, 4) FDL_ROW(each, 5) FDL_ROW(each, 6) FDL_ROW(each, 7)
FDL_ALL(FDL_METHOD)
static void *const method_functions[METHODS] = {FDL_ALL(FDL_NAME)};
// clang-format on

/* ways(recorders, what gives the trace that runs, grad mode, order, finish) -> None: what all methods ask */
static PyObject *learn_ways(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("ways: expected 5 arguments");
  ways.recorders = keep(args[0]), ways.running = keep(args[1]), ways.grad_mode = keep(args[2]);
  ways.order = keep(args[3]), ways.finish = keep(args[4]);
  ways.recorder_name = PyUnicode_InternFromString("recorder"), ways.plain_name = PyUnicode_InternFromString("plain");
  ways.enabled_name = PyUnicode_InternFromString("enabled"), ways.dtype_name = PyUnicode_InternFromString("dtype");
  return nothing();
}

/* method(name, function, static, number of other operands, twin) -> a method of tensors */
static PyObject *make_method(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 5) return fail("method: expected 5 arguments");
  if (method_count == METHODS) return fail("method: there are too many");
  const int k = method_count++;
  methods_of[k].function = keep(args[1]), methods_of[k].statics = keep(args[2]);
  methods_of[k].others = PyLong_AsLong(args[3]), methods_of[k].twin = keep(args[4]);
  keep(args[0]); /* its text is the method's name */
  methods_of[k].definition =
      (PyMethodDef){PyUnicode_AsUTF8AndSize(args[0], 0), method_functions[k], METH_FASTCALL | METH_KEYWORDS, 0};
  return PyDescr_NewMethod((PyTypeObject *)tensor_type, &methods_of[k].definition);
}

PyMethodDef methods_functions[] = {
    {"method", (void *)make_method, METH_FASTCALL, 0}, {"ways", (void *)learn_ways, METH_FASTCALL, 0}, {0}};
