"""The configuration of an installation: one YAML file, strictly checked, secrets by reference only."""

from .loading import Loaded, load, loads
from .model import Configuration, json_schema
from .problems import ConfigurationInvalid, Problem, Severity
from .secrets import Purpose, Secrets

__all__ = [
    "Configuration",
    "ConfigurationInvalid",
    "Loaded",
    "Problem",
    "Purpose",
    "Secrets",
    "Severity",
    "json_schema",
    "load",
    "loads",
]
