/* Nodes of the tape, for what puts operations on it natively, see `walk.c`. */
#ifndef FDL_WALK_H
#define FDL_WALK_H

#include "recorder.h"

enum { MOST_OPERANDS = 60 }; /* whose bits fit a number */

SHARED extern PyObject *node_type, *leaf_type; /* node_type is 0 where slots of nodes were not found */
SHARED extern struct taped {
  long sources, count, varies;
} taped; /* slots of a function that was linearized */

/* A node of a hit (results, info) with its operands, or 0 with an error; `order` counts nodes */
SHARED PyObject *new_node(PyObject *hit, PyObject *edges, PyObject *operands, PyObject *order);
#endif
