/* What the library uses of Python's stable ABI, declared here so that no Python.h is needed. */
#ifndef FDL_STABLE_ABI_H
#define FDL_STABLE_ABI_H

#include <stddef.h>

typedef struct PyTypeObject PyTypeObject;
typedef struct PyObject {
  long refcount;
  PyTypeObject *type;
} PyObject;
typedef struct {
  const char *name;
  void *function;
  int flags;
  const char *doc;
} PyMethodDef;
typedef struct {
  int slot;
  void *function;
} PyType_Slot;
typedef struct {
  const char *name;
  int basicsize, itemsize;
  unsigned flags;
  PyType_Slot *slots;
} PyType_Spec;
typedef struct {
  void *buf;
  PyObject *obj;
  long len, itemsize;
  int readonly, ndim;
  char *format;
  long *shape, *strides, *suboffsets;
  void *internal;
} Py_buffer;
typedef struct {
  PyObject base;
  void *init;
  long index;
  PyObject *copy;
} PyModuleDef_Base;
typedef struct {
  PyModuleDef_Base base;
  const char *name, *doc;
  long size;
  PyMethodDef *methods;
  void *slots, *traverse, *clear, *free;
} PyModuleDef;
enum {
  METH_FASTCALL = 0x80,
  METH_KEYWORDS = 0x2,
  METH_O = 0x8,
  METH_NOARGS = 0x4,
  Py_bf_getbuffer = 1,
  Py_tp_dealloc = 52,
  PyBUF_SIMPLE = 0
};

extern PyObject _Py_EllipsisObject, _Py_NoneStruct, _Py_TrueStruct, _Py_FalseStruct, *PyExc_RuntimeError;
extern PyTypeObject PyFloat_Type, PyLong_Type, PyBool_Type, PyTuple_Type, PyList_Type, PyDict_Type;

/* References, errors, threads */
void Py_IncRef(PyObject *), Py_DecRef(PyObject *), PyObject_Free(void *);
void PyErr_SetString(PyObject *, const char *), PyErr_Clear(void);
PyObject *PyErr_Occurred(void), *PyErr_NoMemory(void);
void *PyEval_SaveThread(void);
void PyEval_RestoreThread(void *);

/* Objects, attributes, calls */
PyObject *PyType_FromSpec(PyType_Spec *), *PyType_GenericAlloc(PyTypeObject *, long);
int PyType_IsSubtype(PyTypeObject *, PyTypeObject *);
PyObject *PyObject_GetAttr(PyObject *, PyObject *);
PyObject *PyObject_GetItem(PyObject *, PyObject *);
int PyObject_SetAttr(PyObject *, PyObject *, PyObject *), PyObject_IsTrue(PyObject *);
PyObject *PyObject_CallFunctionObjArgs(PyObject *, ...), *PyObject_CallMethodObjArgs(PyObject *, PyObject *, ...),
    *PyObject_CallNoArgs(PyObject *), *PyObject_Vectorcall(PyObject *, PyObject *const *, size_t, PyObject *),
    *PyIter_Next(PyObject *);
PyObject *PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *), *PyDescr_NewMethod(PyTypeObject *, PyMethodDef *);
PyObject *PyModule_Create2(PyModuleDef *, int);
int PyModule_AddObject(PyObject *, const char *, PyObject *), PyModule_AddFunctions(PyObject *, PyMethodDef *);
PyObject *PyCapsule_New(void *, const char *, void (*)(PyObject *));
void *PyCapsule_GetPointer(PyObject *, const char *);

/* Memory of others */
int PyObject_GetBuffer(PyObject *, Py_buffer *, int),
    PyBuffer_FillInfo(Py_buffer *, PyObject *, void *, long, int, int);
void PyBuffer_Release(Py_buffer *);

/* Numbers and texts */
PyObject *PyLong_FromLong(long), *PyLong_FromLongLong(long long), *PyLong_FromUnsignedLongLong(unsigned long long);
PyObject *PyFloat_FromDouble(double), *PyNumber_Long(PyObject *), *PyNumber_Float(PyObject *);
long PyLong_AsLong(PyObject *);
long long PyLong_AsLongLong(PyObject *);
unsigned long long PyLong_AsUnsignedLongLongMask(PyObject *);
double PyFloat_AsDouble(PyObject *);
PyObject *PyUnicode_InternFromString(const char *);
const char *PyUnicode_AsUTF8AndSize(PyObject *, long *);

/* Tuples, lists, dicts */
PyObject *PyTuple_New(long), *PyTuple_GetItem(PyObject *, long), *PyTuple_Pack(long, ...);
int PyTuple_SetItem(PyObject *, long, PyObject *);
long PyTuple_Size(PyObject *);
PyObject *PyList_New(long), *PyList_GetItem(PyObject *, long);
int PyList_SetItem(PyObject *, long, PyObject *), PyList_Append(PyObject *, PyObject *),
    PyList_SetSlice(PyObject *, long, long, PyObject *), PyList_Insert(PyObject *, long, PyObject *);
long PyList_Size(PyObject *);
PyObject *PySequence_GetItem(PyObject *, long), *PySequence_Concat(PyObject *, PyObject *);
long PySequence_Size(PyObject *);
PyObject *PyDict_New(void), *PyDict_GetItemWithError(PyObject *, PyObject *);
int PyDict_Next(PyObject *, long *, PyObject **, PyObject **), PyDict_SetItem(PyObject *, PyObject *, PyObject *),
    PyDict_DelItem(PyObject *, PyObject *);
long PyDict_Size(PyObject *);
PyObject *PyFrozenSet_New(PyObject *);
long PySet_Size(PyObject *);
#endif
