/* Looks at values, and operations outside of transforms, see `look.c`. */
#ifndef FDL_LOOK_H
#define FDL_LOOK_H

#include "../../backends/native/twins.h"
#include "recorder.h"

/* The recorder of this thread, borrowed, where nothing is special about the next operation: no transform runs, and the
 * recorder looks at none first; else 0 */
SHARED PyObject *plain_recorder(void);

/* What is asked of a value; by `uses` of `looking` in transforms/lazy/trace.py */
enum { ITEM, BOOL, INT, FLOAT, READY };

/* Numbers of an index, one an axis from the first on, counted from 0 each (a new reference); 0 where it is another kind
 * of index, or lies outside */
SHARED PyObject *places_in(PyObject *index, PyObject *aval);
/* The part of an array at such numbers, which shares the memory; None where its value is not there as an ndarray */
SHARED PyObject *part_at(PyObject *array, PyObject *places);

/* The answer from an array whose value is here, or is pending in this thread's recorder; None where it declines */
SHARED PyObject *looked_at(PyObject *array, int use);
#endif
