"""From Graph to source text: passes, loop IR, schedule, renderers, templates. Read `passes/`, `loop_ir.py`,
`builder.py`, `schedule.py`, `render.py`.
"""
