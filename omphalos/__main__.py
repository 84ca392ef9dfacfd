"""``python -m omphalos`` is the same program as ``omphalos``."""

from omphalos.cli.main import entry

if __name__ == "__main__":
    entry()
