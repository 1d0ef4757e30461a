"""Real pictures beside generated ones: copies, nearest pictures, quizzes, what the discriminator sees, statistics.

`check_copies` is the copy check, and the worker of jobs of verb `copies`.
"""

from ganlib.compare.config import CopiesConfig
from ganlib.compare.copies import CopyCheck, check_copies, run_job

__all__ = ["CopiesConfig", "CopyCheck", "check_copies", "run_job"]
