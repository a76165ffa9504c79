"""A frozen corpus of graphs, kept as data, and what is done with it: it holds a compiler that is being rebuilt to the
text that it wrote before.

The graphs come from the rows of the benchmark, from training programs, from the samples of each primitive and from
random programs. They are read from files, so that no change of the library's faces or transforms changes them.

    python -m tests.lowering.corpus                    digest of each program's tokens, compared with digests.json
    python -m tests.lowering.corpus --against main~3   programs that another revision writes otherwise, and their bits
    python -m tests.lowering.corpus.record             record graphs anew

`data.py` writes and reads graphs, `tokens.py` says what is equal text, `compiler.py` is all that is known of the
compiler's insides.
"""
