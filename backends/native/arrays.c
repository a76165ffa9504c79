/* Arrays, and how slots of Python's objects are found at all.
 *
 * Invariants: slots are read and filled by offset only in instances of the very class whose probe was seen, and only
 * where each of its slots was found; elsewhere by name.
 */
#include "arrays.h"

struct arrays arrays;

/* Where an attribute lies in an instance whose slots hold a value of their own each; 0 where that cannot be told */
static long offset_of(PyObject *instance, long size, const char *attribute) {
  PyObject *name = PyUnicode_InternFromString(attribute), *value = PyObject_GetAttr(instance, name);
  long found = 0;
  for (long offset = sizeof(PyObject); value && offset + (long)sizeof(void *) <= size; offset += sizeof(void *))
    if (SLOT(instance, offset) == value) found = offset;
  Py_DecRef(name);
  if (value) Py_DecRef(value);
  return found;
}

int find_slots(PyObject *probe, PyObject *size, const Slot *slots) {
  int all = 1;
  for (; slots->name; slots++) all = (*slots->offset = offset_of(probe, PyLong_AsLong(size), slots->name)) && all;
  return all;
}

/* arrays(probe of an array, its size) -> None: to be called before all else */
static PyObject *learn_arrays(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 2) return fail("arrays: expected 2 arguments");
  arrays.unmarked = PyLong_FromLong(0), arrays.aval_name = PyUnicode_InternFromString("aval");
  arrays.data_name = PyUnicode_InternFromString("_data"), arrays.mark_name = PyUnicode_InternFromString("_mark");
  static const Slot slots[] = {{"aval", &arrays.aval}, {"_data", &arrays.data}, {"_mark", &arrays.mark}, {0}};
  if (find_slots(args[0], args[1], slots)) arrays.type = keep((PyObject *)args[0]->type);
  return nothing();
}

PyObject *marked_array(PyObject *aval, PyObject *data, PyObject *mark) {
  PyObject *array = PyType_GenericAlloc((PyTypeObject *)arrays.type, 0); /* the slots of a fresh object are empty */
  if (!array) {
    Py_DecRef(mark);
    return 0;
  }
  SLOT(array, arrays.aval) = keep(aval), SLOT(array, arrays.data) = keep(data), SLOT(array, arrays.mark) = mark;
  return array;
}

PyObject *new_array(PyObject *type, PyObject *aval, PyObject *data) {
  if (type == arrays.type) return marked_array(aval, data, keep(arrays.unmarked));
  PyObject *array = PyType_GenericAlloc((PyTypeObject *)type, 0);
  if (array) {
    PyObject_SetAttr(array, arrays.aval_name, aval);
    PyObject_SetAttr(array, arrays.data_name, data);
    PyObject_SetAttr(array, arrays.mark_name, arrays.unmarked);
  }
  return array;
}

PyMethodDef arrays_functions[] = {{"arrays", (void *)learn_arrays, METH_FASTCALL, 0}, {0}};
