"""What a person sees while the ring turns."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Stations, work with a known end, and remarks."""

    def station(self, title: str, detail: str = "") -> None:
        """A new station of the ring begins."""
        ...

    def work(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total``; shown with an ETA when it lasts."""
        ...

    def note(self, text: str) -> None:
        """A fact worth a line."""
        ...


class Silent:
    """Says nothing."""

    def station(self, title: str, detail: str = "") -> None:
        pass

    def work(self, what: str, done: int, total: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass
