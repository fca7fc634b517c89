"""Where flows wait for a worker: cycles in one line, what must not stand behind them in another."""

from __future__ import annotations


def cycles(contour: str) -> str:
    """The queue of a contour's cycles."""
    return f"{contour}.cycles"


def own(executor_id: str) -> str:
    """The queue of flows that only the worker of this name can run: others lack its world."""
    return f"{executor_id}.own"


def urgent(contour: str) -> str:
    """The queue of what people do to a contour's release: a cycle may wait for a week."""
    return f"{contour}.urgent"
