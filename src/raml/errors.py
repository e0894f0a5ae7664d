"""The exceptions that `raml` raises on purpose.

    RamlError
    ├── DataError        a file, record or value is not what it should be
    │   └── UndecidedError   it could not be found out whether an answer is right
    │       └── TimedOutError    not in the time allowed
    ├── ModelError       a model or tokenizer can't be loaded or can't do what was asked
    ├── MissingExtra     an optional dependency is not installed
    ├── NumericsError    a loss or probability is NaN or infinite
    └── RunError         a run folder can't be read or written

Every message names the value and its id, what was expected, and what to do about it. At the command line each becomes
one line that ends with where to read on, and exit code 2; inside a batch each is written on the record it belongs to,
and the others go on.
"""


class RamlError(Exception):
    """Base of all errors that a user can do something about."""


class DataError(RamlError):
    """A file, record or value is not what it should be."""


class UndecidedError(DataError):
    """It could not be found out whether an answer is right; neither right nor wrong."""


class TimedOutError(UndecidedError):
    """Two answers could not be compared within the time allowed."""


class ModelError(RamlError):
    """A model or tokenizer can't be loaded, or can't do what was asked of it."""


class MissingExtra(RamlError):
    """An optional dependency is missing; the message names the extra to install."""


class NumericsError(RamlError):
    """A loss or probability came out NaN or infinite; the message names the unit of work."""


class RunError(RamlError):
    """A run folder can't be read or written."""
