"""omphalOS: a deterministic analysis workbench for trade and technology-transfer oversight."""

__version__ = "0.1.0"

__all__ = ["__version__"]
