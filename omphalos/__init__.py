"""omphalOS: a deterministic analysis workbench for trade and technology-transfer oversight."""

TYPE_CHECKING = False  # as `typing` has it, without the hundredth of a second that its import takes

if TYPE_CHECKING:
    from pathlib import Path

    from omphalos.runs.reading import Run

__version__ = "0.1.0"

__all__ = ["__version__", "open"]


def open(run: "str | Path", *, store: "str | Path" = ".") -> "Run":
    """Open a recorded run for reading: ``omphalos.open("latest").pandas("review")``.

    Args:
        run: a run directory, or the name of a run in a store: a run_id, a unique prefix of one, a tag, ``latest``.
        store: a folder in or below the store; the working directory by default.

    Returns:
        The run; nothing is loaded and no table is read before it is asked for.

    Raises:
        omphalos.format.errors.OmphalosError: nothing is called so, or it is damaged; ``message`` and ``hint`` say more.
    """
    from omphalos.runs.reading import open_run

    return open_run(run, store)
