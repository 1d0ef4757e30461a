"""Errors that a person can act on.

Every error raised on outside input is a `GanlibError`: `message` says what is wrong, with the value; `hint` says what
to do now. Programming mistakes keep their own Python exceptions.
"""


class GanlibError(Exception):
    """An error with a message for a person and a hint about the next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(GanlibError):
    """An argument, flag or form field is outside its legal values."""


class CheckpointError(GanlibError):
    """A model file is missing, truncated, foreign or hostile."""


class DataError(GanlibError):
    """A picture or a data set cannot be read."""


class HubError(GanlibError):
    """A site of models cannot be reached, refuses, or sends something else than it said."""


class RunError(GanlibError):
    """A job directory is missing, damaged or in the wrong state."""


class DeviceError(GanlibError):
    """The device asked for does not exist or is out of memory."""
