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

/* The answer from an array whose value is here, or is pending in this thread's recorder; None where it declines */
SHARED PyObject *looked_at(PyObject *array, int use);
#endif
