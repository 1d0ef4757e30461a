"""The verbs of `python -m ganlib`, one module each: EXAMPLES, add_flags(parser), execute(args) → exit code.

Modules of the library are imported inside `execute`, so that `--help` answers before PyTorch has loaded.
"""
