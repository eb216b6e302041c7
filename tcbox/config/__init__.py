"""`tcbox.yml`: typed settings, their loading with every mistake told at once, and their description."""

from tcbox.config.load import ConfigError, Fault, Origin, load
from tcbox.config.settings import Secret, Settings

__all__ = ["ConfigError", "Fault", "Origin", "Secret", "Settings", "load"]
