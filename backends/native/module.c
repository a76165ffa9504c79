/* The module: joins the parts of the library, and counts which calls they leave to Python.
 *
 * The build says which parts there are, `-DFDL_PARTS=FDL_PART(arrays)FDL_PART(buffers)...`, since some lie on floors
 * above this one: each exports a list of functions.
 */
#include <pthread.h>
#include "buffers.h"
#include "team.h"

#define FDL_PART(name) extern PyMethodDef name##_functions[];
FDL_PARTS
#undef FDL_PART
#define FDL_PART(name) name##_functions,
static PyMethodDef *const parts[] = {FDL_PARTS};

static Reason *reasons; /* those that were met */

void count_reason(Reason *reason) {
  if (!reason->count++) reason->next = reasons, reasons = reason;
}

/* declined() -> dict: how often calls were left to Python, by the reason's name and the C function that says so */
static PyObject *counts_of_reasons(PyObject *self, PyObject *none) {
  (void)self, (void)none;
  PyObject *counts = PyDict_New();
  for (Reason *reason = reasons; reason; reason = reason->next) {
    PyObject *name = PyUnicode_InternFromString(reason->name), *place = PyUnicode_InternFromString(reason->place),
             *key = PyTuple_Pack(2, name, place), *other = PyDict_GetItemWithError(counts, key),
             *count = PyLong_FromLong(reason->count + (other ? PyLong_AsLong(other) : 0));
    PyDict_SetItem(counts, key, count);
    Py_DecRef(name), Py_DecRef(place), Py_DecRef(key), Py_DecRef(count);
  }
  return counts;
}

PyMethodDef module_functions[] = {{"declined", (void *)counts_of_reasons, METH_NOARGS, 0}, {0}};

static PyModuleDef definition = {.base = {.base = {.refcount = 1}}, .name = "fdl_native", .size = -1};

__attribute__((visibility("default"))) PyObject *PyInit_fdl_native(void) {
  PyObject *module = PyModule_Create2(&definition, 1013);
  if (!module || !make_buffer_type()) return 0;
  if (PyModule_AddObject(module, "Buffer", keep((PyObject *)BufferType))) return 0;
  for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
    if (PyModule_AddFunctions(module, parts[i])) return 0;
  pthread_atfork(0, 0, after_fork);
  return module;
}
