/* Methods that are asked before those that Python defines: each tries to do all by itself, and else calls its twin.
 *
 * Python gives a function of C one object, the instance; so there is a function for each method.
 */
#include "twins.h"

enum { METHODS = 512 };
static Method methods_of[METHODS];
static int method_count;

static PyObject *call_method(int k, PyObject *x, PyObject *const *args, long count, PyObject *names) {
  const Method *m = &methods_of[k];
  const long named = names ? PyTuple_Size(names) : 0;
  if (!named && count == m->others) {
    PyObject *result = m->trying(m, x, args, count);
    if (result != &_Py_NoneStruct) return result;
    Py_DecRef(result);
  } else BECAUSE(arguments);
  PyObject *all[64];
  if (count + named > 63) return fail("too many arguments");
  all[0] = x;
  for (long i = 0; i < count + named; i++) all[i + 1] = args[i];
  return PyObject_Vectorcall(m->twin, all, (size_t)count + 1, names);
}

// clang-format off
#define FDL_METHOD(k)                                                                            \
  static PyObject *method_##k(PyObject *x, PyObject *const *args, long count, PyObject *names) { \
    return call_method(0x##k, x, args, count, names);                                            \
  }
#define FDL_NAME(k) (void *)method_##k,
#define FDL_ROW(each, a)                                                                       \
  each(a##0) each(a##1) each(a##2) each(a##3) each(a##4) each(a##5) each(a##6) each(a##7)      \
  each(a##8) each(a##9) each(a##A) each(a##B) each(a##C) each(a##D) each(a##E) each(a##F)
#define FDL_BLOCK(each, a)                                                                     \
  FDL_ROW(each, a##0) FDL_ROW(each, a##1) FDL_ROW(each, a##2) FDL_ROW(each, a##3)              \
  FDL_ROW(each, a##4) FDL_ROW(each, a##5) FDL_ROW(each, a##6) FDL_ROW(each, a##7)              \
  FDL_ROW(each, a##8) FDL_ROW(each, a##9) FDL_ROW(each, a##A) FDL_ROW(each, a##B)              \
  FDL_ROW(each, a##C) FDL_ROW(each, a##D) FDL_ROW(each, a##E) FDL_ROW(each, a##F)
#define FDL_ALL(each) FDL_BLOCK(each, 0) FDL_BLOCK(each, 1)
FDL_ALL(FDL_METHOD)
static void *const method_functions[METHODS] = {FDL_ALL(FDL_NAME)};
// clang-format on

PyObject *new_method(PyObject *type, PyObject *name, Method method) {
  if (method_count == METHODS) return fail("method: there are too many");
  const int k = method_count++;
  PyObject *kept[] = {name /* its text is the method's name */, method.twin, method.function, method.given};
  for (unsigned i = 0; i < sizeof kept / sizeof *kept; i++)
    if (kept[i]) Py_IncRef(kept[i]);
  methods_of[k] = method;
  methods_of[k].definition =
      (PyMethodDef){PyUnicode_AsUTF8AndSize(name, 0), method_functions[k], METH_FASTCALL | METH_KEYWORDS, 0};
  return PyDescr_NewMethod((PyTypeObject *)type, &methods_of[k].definition);
}

PyMethodDef twins_functions[] = {{0}};
