/* Buffers: memory by size classes, kept when it is given back; and two loops over them that NumPy does in Python's
 * stead where a call is left to it.
 *
 * Invariants: all happens under the GIL; a buffer's memory belongs to one object.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "buffers.h"

enum { CLASSES = 48, KEPT = 16 };
static void *kept[CLASSES][KEPT];
static int kept_count[CLASSES];

static int size_class(long bytes) { /* powers of two, and their middles */
  if (bytes <= 64) return 0;
  const int power = 63 - __builtin_clzl((unsigned long)(bytes - 1));
  return 2 * (power - 5) - (bytes <= (3L << (power - 1)));
}
static long class_bytes(int c) { return c == 0 ? 64 : c % 2 ? 3L << (c / 2 + 4 + 1) : 64L << (c / 2); }

void *take_memory(long bytes) {
  const int c = size_class(bytes);
  if (c < CLASSES && kept_count[c]) return kept[c][--kept_count[c]];
  void *memory = 0;
  const size_t size = (size_t)(c < CLASSES ? class_bytes(c) : bytes), large = 2 << 20;
  if (posix_memalign(&memory, size >= large ? large : 64, size)) return 0;
#ifdef MADV_HUGEPAGE
  if (size >= large) madvise(memory, size, MADV_HUGEPAGE); /* a fault a page of 4 KiB costs more than the work on it */
#endif
  return memory;
}
void give_memory(void *memory, long bytes) {
  const int c = size_class(bytes);
  if (c < CLASSES && kept_count[c] < (c > 40 ? 1 : c > 34 ? 4 : KEPT)) kept[c][kept_count[c]++] = memory;
  else free(memory);
}

PyTypeObject *BufferType;

Buffer *new_buffer(long bytes) {
  Buffer *b = (Buffer *)PyType_GenericAlloc(BufferType, 0);
  if (!b) return 0;
  b->bytes = bytes;
  b->memory = take_memory(bytes);
  if (!b->memory) {
    Py_DecRef(&b->base);
    PyErr_NoMemory();
    return 0;
  }
  return b;
}
static void buffer_dealloc(PyObject *self) {
  PyTypeObject *type = self->type;
  Buffer *b = (Buffer *)self;
  if (b->memory) give_memory(b->memory, b->bytes);
  PyObject_Free(self);
  Py_DecRef((PyObject *)type);
}
static int buffer_get(PyObject *self, Py_buffer *view, int flags) {
  Buffer *b = (Buffer *)self;
  return PyBuffer_FillInfo(view, self, b->memory, b->bytes, 1, flags);
}

void *data_of(PyObject *data, Py_buffer *view) {
  if (data->type == BufferType) return ((Buffer *)data)->memory;
  return PyObject_GetBuffer(data, view, PyBUF_SIMPLE) ? 0 : view->buf;
}

PyTypeObject *make_buffer_type(void) {
  static PyType_Slot slots[] = {{Py_tp_dealloc, (void *)buffer_dealloc}, {Py_bf_getbuffer, (void *)buffer_get}, {0, 0}};
  static PyType_Spec spec = {"fdl_native.Buffer", sizeof(Buffer), 0, 0, slots};
  return BufferType = (PyTypeObject *)PyType_FromSpec(&spec);
}

/* Negative where one of `n` signed integers of 4 or 8 bytes lies outside of low..high: numbers so far out that a
 * difference wraps around have the sign of the other one, or their own.  Blocks of it run as vectors. */
static long long outside(const void *data, long width, long n, long long low, long long high) {
  enum { BLOCK = 4096 };
  const long long both = low > 0 ? -1 : 0;
  long long found = 0;
#define FDL_LOOK(type)                               \
  {                                                  \
    const long long x = ((const type *)data)[i + j]; \
    found |= (x - low) | (high - x) | (x & both);    \
  }
  for (long i = 0; found >= 0 && i < n; i += BLOCK) {
    const long left = n - i;
    if (width == 8 && left >= BLOCK)
      for (long j = 0; j < BLOCK; j++) FDL_LOOK(long long)
    else if (width == 8)
      for (long j = 0; j < left; j++) FDL_LOOK(long long)
    else
      for (long j = 0; j < (left < BLOCK ? left : BLOCK); j++) FDL_LOOK(int)
  }
#undef FDL_LOOK
  return found;
}

/* within(data, bytes of an element, low, high) -> whether all signed integers are from low to high, or None */
static PyObject *within(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("within: expected 4 arguments");
  const long width = PyLong_AsLong(args[1]);
  const long long low = PyLong_AsLongLong(args[2]), high = PyLong_AsLongLong(args[3]);
  if (width != 4 && width != 8) DECLINE(narrow, nothing());
  Py_buffer view = {.obj = 0};
  const void *data = data_of(args[0], &view);
  if (!data) {
    PyErr_Clear();
    DECLINE(unreadable, nothing());
  }
  const long bytes = view.obj ? view.len : ((Buffer *)args[0])->bytes;
  const int inside = outside(data, width, bytes / width, low, high) >= 0;
  if (view.obj) PyBuffer_Release(&view);
  return keep(inside ? &_Py_TrueStruct : &_Py_FalseStruct);
}

/* rows(data, bytes of a row, how many there are, list of numbers) -> buffer with these rows, or None */
static PyObject *rows(PyObject *self, PyObject *const *args, long count) {
  (void)self;
  if (count != 4) return fail("rows: expected 4 arguments");
  const long row = PyLong_AsLong(args[1]), limit = PyLong_AsLong(args[2]), many = PyList_Size(args[3]);
  if (!many) DECLINE(empty, nothing());
  Py_buffer view = {.obj = 0};
  const char *data = data_of(args[0], &view);
  if (!data) {
    PyErr_Clear();
    DECLINE(unreadable, nothing());
  }
  Buffer *out = new_buffer(row * many);
  for (long i = 0; out && i < many; i++) {
    const long number = PyLong_AsLong(PyList_GetItem(args[3], i));
    if (number >= 0 && number < limit) memcpy((char *)out->memory + i * row, data + number * row, (size_t)row);
    else {
      BECAUSE(outside);
      Py_DecRef(&out->base), out = 0;
    }
  }
  if (view.obj) PyBuffer_Release(&view);
  PyErr_Clear();
  return out ? &out->base : nothing();
}

PyMethodDef buffers_functions[] = {
    {"rows", (void *)rows, METH_FASTCALL, 0}, {"within", (void *)within, METH_FASTCALL, 0}, {0}};
