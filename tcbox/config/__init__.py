"""`tcbox.yml`: typed settings, their loading with every mistake told at once, and their description."""

from tcbox.config.faults import ConfigError, Fault
from tcbox.config.load import check, load
from tcbox.config.settings import Origin, Settings
from tcbox.config.values import Secret, Url

__all__ = ["ConfigError", "Fault", "Origin", "Secret", "Settings", "Url", "check", "load"]
