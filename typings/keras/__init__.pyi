# Keras infers its return types from code with many backends, so that every tensor may be None: read it as untyped.
from typing import Any

def __getattr__(name: str) -> Any: ...
