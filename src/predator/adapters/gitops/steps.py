"""Which step of which cycle is already in the history, so that doing it again does nothing."""

from __future__ import annotations

from predator.adapters.gitops import rules
from predator.adapters.gitops.objects import GitObjects


class StepIndex:
    """Follows a branch and reads each commit once. The caller holds the repository's lock."""

    def __init__(self, objects: GitObjects) -> None:
        self._objects = objects
        self._steps: dict[rules.StepKey, str] = {}
        self._known: set[str] = set()
        self._head: str | None = None

    def find(self, key: rules.StepKey, head: str | None) -> str | None:
        """The revision reachable from ``head`` that carries ``key``, or ``None``."""
        if head is None:
            return None
        if head != self._head:
            self._advance(head)
        return self._steps.get(key)

    def _advance(self, head: str) -> None:
        fresh = dict(self._objects.ancestry(head, self._known))
        indexed = (self._head or "").encode()
        if not any(indexed in commit.parents for commit in fresh.values()):
            # History did not grow, it was replaced (a forced push): what it lost is not done.
            self._steps.clear()
            self._known.clear()
            fresh = dict(self._objects.ancestry(head, set()))
        for revision, commit in fresh.items():
            _, trailers = rules.parse_message(commit.message.decode(errors="replace"))
            key = rules.step_key(trailers)
            if key is not None:
                self._steps.setdefault(key, revision)
        self._known.update(fresh)
        self._head = head
