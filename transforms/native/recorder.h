/* The recorder's hit path, for what records operations natively, see `recorder.c`. */
#ifndef FDL_RECORDER_H
#define FDL_RECORDER_H

#include "../../backends/native/arrays.h"

/* Classes of the recorder, and where their slots lie; `recorded` is usable where all were found */
SHARED extern struct segments {
  long node, base, values, recorder, owner, settled, lines, journals, error, outputs, ran;
} segments;
SHARED extern struct avals {
  long token, dtype, shape;
} avals;
SHARED extern struct recorders {
  long segment, journal, root, busy, plain, special, wanted, volatile_, lock;
} recorders;
SHARED extern PyObject *ndarray_type, *literal_type, *segment_type;

/* Bind an operation in a recorder that is not busy, under `head`: (results, info) of a hit; None, and nothing has
 * changed, where this is left to Python; 0 with an error.  Takes the reference to `head`.  Numbers among the operands
 * have their own types, or those of the tokens in `typed`. */
SHARED PyObject *recorded(PyObject *recorder, PyObject *head, PyObject *operands, PyObject *typed);

/* Whether a recorder looks at each operation before it records it, or runs it at once */
SHARED int is_special(PyObject *recorder);
/* Run what is pending, as `Recorder.flush` does where nothing is special; 0 where this is left to Python */
SHARED int flushed(PyObject *recorder);

static inline PyObject *segment_of(PyObject *recorder) { return SLOT(recorder, recorders.segment); } /* borrowed */
static inline PyObject *journal_of(PyObject *recorder) { return SLOT(recorder, recorders.journal); }
#endif
