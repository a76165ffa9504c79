"""What a program is lowered for: one `Target` a machine or device, the only place where numbers of a machine stand.

Schedule steps and plans ask it what a move pays: no bit follows from the answers.  What decides the order of a sum (how
long a fold is, where a contraction is cut) is not here but in `build/`, since it must be the same for every target.

Sizes are bytes where they say so, else elements; work is counted in scalar operations.
"""

from __future__ import annotations

import dataclasses

from fdl.lowering.ir.routines import TABLES, RoutineTable


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A machine or device, and what moves pay on it.

    Where a comment says "measured", the number was found by timing programs on machines with AVX-512 or AVX2.
    """

    name: str
    language: str  # of the text: c, cuda or metal
    vector_bytes: int  # of a register: a C target's widest vectors
    composites: bool = True  # whether its emitter knows composites; without, stages stay by themselves

    # Threads
    parallel_work: int = 24_000  # operations from which a stage is worth all threads
    owned: int = (
        16  # elements updated together from which threads have targets of their own: fewer cost less than asking
    )
    equal_shares: int = 8  # parts that a loop over parts must have, so that threads have equal shares

    # Memory, in bytes
    line: int = 64
    page: int = 4096
    private: int = 128  # of a temporary that may live on one thread's stack
    stack: int = 128 << 10  # of rows that a composite keeps as local arrays
    near: int = 1 << 18  # of a part: what stays in the second cache beside all else
    second: int = 1 << 20  # and what stays there alone
    tile: int = 3 << 19  # of what an iteration of a tile touches: it streams through the second cache
    far: int = 1 << 22  # that no nearer cache holds until they are read again
    past_caches: int = 1 << 26  # of a result that is only written (measured: 40 MB are level, 112 MB twice as fast)
    whole_lines: int = 512  # side by side, from which stores past the caches write lines whole, but for few

    # Reading ahead: where an element takes a hundred instructions, a core does not ask for the next page in time
    ahead_pages: int = 2  # how far
    ahead_least: int = 1 << 19  # bytes that a kernel reads and writes, from which pages matter
    ahead_streams: int = 8  # places that it walks through, at most
    ahead_row: int = 8  # pages of a row, at most

    # Stages that share their loops
    rows_least: int = 8  # rows of a composite
    rows_width: int = 16  # elements of a row: one long loop is better than many short ones
    rows_stages: int = 24  # stages of a composite
    total_width: int = 4096  # columns of a total that is kept while rows pass
    tile_saved: int = 1 << 19  # bytes that never go to memory, from which a tile pays
    tile_brief: int = 4  # stages: what lives no longer and does not fit costs a tile as much as it saves
    epilogue_rows: int = 256  # of a product, below which threads share its columns
    epilogue_least: int = 1 << 19  # elements of a product that does not stay in the second caches anyway (measured)
    prologue_rows: int = 256  # of a part, for which packing the other operand anew is not seen
    prologue_repays: int = 400  # products of an element, above which its way to memory and back is not seen (measured)

    # Stages that are computed again, cut, packed
    again: int = 3  # operations that may be repeated
    again_free: int = 6  # where they read nothing but the place they stand at, as masks do
    again_far: int = 40  # that writing and reading `far` bytes takes the time of
    again_small: int = 4  # loads from memory that is this many times smaller cost nothing
    split_parts: int = 8  # that a loop is cut into at its conditions
    split_least: int = 4096  # elements of a map from which it is cut
    pack_least: int = 4096  # elements of an operand, from which packing it before a loop pays
    pack_steps: int = 8  # of the loop
    few_rows: int = 4  # up to which the product library streams the other operand, a row or a few panels at a time

    # Devices
    block: int = 256  # threads of a block of elementwise work
    block_side: int = 16  # rows and columns of a block of a product
    owners: int = 1024  # threads among which targets of a scatter are shared, each of which goes through all updates

    # Text, and the time of the C compiler
    map_stores: int = 16  # of a kernel
    map_expressions: int = 160  # of a kernel, which is written by recursion over them
    brief: int = 30  # operations of an element, below which columns are folded some elements at a time
    columns_at_once: int = 4  # elements of a column that are then folded at a time
    side_by_side: int = 8  # rows from which those that lie across memory are folded side by side
    unrolled: int = 128  # operations up to which a map of arrays on the stack is written out, to stay in registers
    copied: int = 256  # bytes of a carry that is copied rather than swapped
    large: int = 150  # calls from which a program is not optimised across them
    units: int = 2  # parts of a large program that are compiled at the same time

    @property
    def routines(self) -> RoutineTable:
        """What it has functions for; all other routines are built as loops."""
        return TABLES.get(self.language, {})

    @property
    def panel_bytes(self) -> int:
        """Bytes of a row of a packed panel: the product library's tiles are two vectors wide."""
        return 2 * self.vector_bytes

    @property
    def flags(self) -> tuple[str, ...]:
        """Words for a C compiler that knows this machine and more.  Instructions that fuse stay: they decide bits."""
        if self.name == "avx512":
            return ("-mprefer-vector-width=512",)
        return ("-mno-avx512f",) if self.name == "avx2" else ("-mno-avx2", "-DFDL_VECTOR_BYTES=16")


AVX512 = Target("avx512", "c", 64)
AVX2 = Target("avx2", "c", 32)
SCALAR = Target("scalar", "c", 16)  # no vectors but those that every machine of its kind has
CUDA = Target("cuda", "cuda", 16, composites=False)
METAL = Target("metal", "metal", 16, composites=False)

C_TARGETS: dict[str, Target] = {t.name: t for t in (AVX512, AVX2, SCALAR)}
