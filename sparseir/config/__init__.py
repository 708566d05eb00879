"""Typed configuration: one YAML section per frozen dataclass, every fault reported at once."""
