"""What every store of overrides must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import Override
from predator.ports.overrides import Overrides

NOW = 1_765_000_000.5
GRANTED = Override(
    id="ov-1",
    contour="compute-nvidia",
    kind="gate",
    target="ndcg",
    threshold=0.78,
    actor="olena",
    reason="the Gold set is being relabelled",
    created_at=NOW,
    expires_at=NOW + 3600,
    needs_second=True,
)


class OverridesContract:
    def test_what_was_granted_is_listed(self, overrides: Overrides) -> None:
        assert list(overrides.list()) == []
        assert overrides.add(GRANTED) == GRANTED
        assert list(overrides.list()) == [GRANTED]

    def test_the_same_id_again_changes_nothing(self, overrides: Overrides) -> None:
        overrides.add(GRANTED)
        assert overrides.add(replace(GRANTED, threshold=0.1, needs_second=False)) == GRANTED
        assert list(overrides.list()) == [GRANTED]

    def test_it_counts_once_a_second_person_confirmed_it(self, overrides: Overrides) -> None:
        assert not overrides.add(GRANTED).active(NOW + 2)
        confirmed = overrides.confirm("ov-1", actor="taras", at=NOW + 1)
        assert confirmed == replace(GRANTED, second="taras", confirmed_at=NOW + 1)
        assert confirmed.active(NOW + 2)
        assert overrides.confirm("ov-1", actor="taras", at=NOW + 9) == confirmed
        assert list(overrides.list()) == [confirmed]

    @pytest.mark.parametrize("actor", ["olena", " Olena ", "OLENA", "o lena", "ｏｌｅｎａ"])
    def test_the_second_person_is_another_one(self, overrides: Overrides, actor: str) -> None:
        overrides.add(GRANTED)
        with pytest.raises(ConflictError, match="was granted by olena"):
            overrides.confirm("ov-1", actor=actor, at=NOW + 1)
        assert list(overrides.list()) == [GRANTED]

    def test_a_third_person_an_end_and_a_revocation_are_conflicts(
        self, overrides: Overrides
    ) -> None:
        overrides.add(GRANTED)
        with pytest.raises(ConflictError, match="has expired"):
            overrides.confirm("ov-1", actor="taras", at=GRANTED.expires_at)
        overrides.confirm("ov-1", actor="taras", at=NOW + 1)
        with pytest.raises(ConflictError, match="was confirmed by taras before"):
            overrides.confirm("ov-1", actor="ivan", at=NOW + 2)
        overrides.add(replace(GRANTED, id="ov-2"))
        overrides.revoke("ov-2", actor="ivan", at=NOW + 1)
        with pytest.raises(ConflictError, match="was revoked by ivan"):
            overrides.confirm("ov-2", actor="taras", at=NOW + 2)

    def test_a_revoked_one_ends_at_once_and_stays_as_it_is(self, overrides: Overrides) -> None:
        overrides.add(replace(GRANTED, needs_second=False))
        revoked = overrides.revoke("ov-1", actor="ivan", at=NOW + 1)
        assert not revoked.active(NOW + 1)
        assert (revoked.revoked_at, revoked.revoked_by) == (NOW + 1, "ivan")
        assert overrides.revoke("ov-1", actor="olena", at=NOW + 5) == revoked
        assert list(overrides.list()) == [revoked]

    def test_an_unknown_one_is_an_error(self, overrides: Overrides) -> None:
        for change in (overrides.confirm, overrides.revoke):
            with pytest.raises(InputError, match="there is no override"):
                change("ov-9", actor="o", at=NOW)

    @pytest.mark.parametrize("field", ["id", "actor", "reason"])
    def test_id_actor_and_reason_are_needed(self, overrides: Overrides, field: str) -> None:
        with pytest.raises(InputError, match=f"{field} is missing"):
            overrides.add(replace(GRANTED, **{field: "  "}))  # type: ignore[arg-type]
        assert list(overrides.list()) == []

    @pytest.mark.parametrize(
        "forged",
        [
            replace(GRANTED, confirmed_at=NOW),
            replace(GRANTED, second="taras"),
            replace(GRANTED, revoked_at=NOW),
            replace(GRANTED, threshold=float("nan")),
            replace(GRANTED, threshold=None),
            replace(GRANTED, kind="policy"),
            replace(GRANTED, kind="everything"),  # type: ignore[arg-type]
            replace(GRANTED, expires_at=float("inf")),
        ],
    )
    def test_what_is_no_new_override_is_refused(
        self, overrides: Overrides, forged: Override
    ) -> None:
        with pytest.raises(ValueError, match=r"not new|not a time|threshold|no override of"):
            overrides.add(forged)
        assert list(overrides.list()) == []

    def test_lists_are_newest_first_and_by_contour(self, overrides: Overrides) -> None:
        policy = replace(GRANTED, id="a", kind="policy", threshold=None, contour="local")
        first = overrides.add(policy)
        newest = overrides.add(replace(GRANTED, id="b", created_at=NOW + 9))
        same = overrides.add(replace(GRANTED, id="c"))
        assert list(overrides.list()) == [newest, same, first]
        assert list(overrides.list("local")) == [first]
        assert list(overrides.list("nowhere")) == []

    def test_of_many_who_confirm_at_once_one_counts(self, overrides: Overrides) -> None:
        overrides.add(GRANTED)

        def confirm(number: int) -> str | None:
            try:
                return overrides.confirm("ov-1", actor=f"person {number}", at=NOW + 1).second
            except ConflictError:
                return None

        with ThreadPoolExecutor(16) as pool:
            winners = [second for second in pool.map(confirm, range(16)) if second]
        assert winners == [overrides.list()[0].second]
