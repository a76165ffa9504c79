/* The recorder's hit path, for what records operations natively, see `recorder.c`. */
#ifndef FDL_RECORDER_H
#define FDL_RECORDER_H

#include "../../backends/native/arrays.h"

/* Classes of the recorder, and where their slots lie; `recorded` is usable where all were found */
SHARED extern struct segments {
  long node, base, values, recorder, owner, settled, lines, journals, error, outputs, ran;
} segments;
SHARED extern struct avals {
  long token;
} avals;
SHARED extern PyObject *ndarray_type, *literal_type;

/* Bind an operation in a recorder that is not busy, under `head`: (results, info) of a hit; None, and nothing has
 * changed, where this is left to Python; 0 with an error.  Takes the reference to `head`. */
SHARED PyObject *recorded(PyObject *recorder, PyObject *head, PyObject *operands);

SHARED PyObject *segment_of(PyObject *recorder), *journal_of(PyObject *recorder); /* borrowed */
#endif
