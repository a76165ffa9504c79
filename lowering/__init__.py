"""From Graph to source text, for every target.

Read in this order: `pipeline.py` (the one list of steps), `target.py` (what a machine or device is), `ir/` (the loop
program), `build/` (from a Graph to a loop program: what `lower` rules see), `schedule/` (which loops stages share),
`plan/` (memory, barriers, prefetches), `emit/` (text).
"""
