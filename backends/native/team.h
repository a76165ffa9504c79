/* A team of threads that runs a program's one region, see `team.c`. */
#ifndef FDL_TEAM_H
#define FDL_TEAM_H

#include "fdl_runtime.h"
#include "native.h"

SHARED extern fdl_runtime runtime_table; /* what programs get; products are filled in when a program needs them */

SHARED extern void *const team_of_one; /* of a program that one thread runs inside of a region */

SHARED int region_threads(void); /* how many threads a parallel region may have */
SHARED void run_region(fdl_program_fn program, void *const *io, char *arena, int threads);
SHARED void after_fork(void); /* to be called in a forked child, which has none of its parent's workers */
#endif
