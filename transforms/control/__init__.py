"""The primitives that hold graphs: `call`, `cond`, `scan`, `while`, with their rules.  Read `call.py` first."""
