"""The version of the project. It is written only here; pyproject.toml, the command line and new indexes read it."""

__version__ = "0.1.0"
