"""What can go wrong, one class a cause. A message says what was expected, what came, and what to do."""


def one_line(error: object) -> str:
    """A message of others, without line breaks."""
    return " ".join(str(error).split())


class TabdlError(Exception):
    """Base of every error that tabdl raises on purpose."""


class ParameterError(TabdlError, ValueError):
    """A parameter is outside its documented range, or does not fit the task."""


class SchemaError(TabdlError, ValueError):
    """The columns of a table are not what the model expects."""


class TargetError(TabdlError, ValueError):
    """The target `y` cannot be learned as it is."""


class ArtifactError(TabdlError, ValueError):
    """A saved model is damaged, unsafe, or of another version."""


class MissingDependency(TabdlError, ImportError):
    """An optional package, or the backend named by KERAS_BACKEND, is not installed."""
