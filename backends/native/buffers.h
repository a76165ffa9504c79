/* Buffers: memory of arrays and arenas, see `buffers.c`. */
#ifndef FDL_BUFFERS_H
#define FDL_BUFFERS_H

#include "native.h"

typedef struct {
  PyObject base;
  void *memory;
  long bytes;
} Buffer;
SHARED extern PyTypeObject *BufferType;

SHARED void *take_memory(long bytes), give_memory(void *memory, long bytes);
SHARED Buffer *new_buffer(long bytes); /* 0 with an error where there is no memory */

/* The address of an array's data; a view is opened where it is not one of our buffers.  0 and a Python error where
 * there is none. */
SHARED void *data_of(PyObject *data, Py_buffer *view);
SHARED PyTypeObject *make_buffer_type(void);
#endif
