"""The verbs of `python -m ganlib`, one row each in `verbs` and one module each: execute(args) → exit code, and
add_flags(parser) for what only a terminal needs.

Modules of the library are imported inside `execute`, so that `--help` answers before PyTorch has loaded.
"""
