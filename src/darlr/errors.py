"""Errors that a user can act on; anything else that escapes is a bug."""


class DarlrError(Exception):
    """Base of every error this package raises on purpose: says what is wrong, where, and what to do."""


class DarlrWarning(UserWarning):
    """A user should know this about the data, or about values that a call left out, although the call continues."""


class DataError(DarlrError):
    """A file, table or prepared data set is not usable; names the file, row and column where known."""


class ConfigError(DarlrError):
    """An option has a value that cannot work; names the option as `darlr train` does."""


class MachineError(DarlrError):
    """This machine lacks something: a package, a compiler, a GPU; says how to get it, or what to do without."""


class RunError(DarlrError):
    """A run or world folder is missing, damaged, or belongs to other data or settings."""
