"""What every store of replies must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import Reply
from predator.ports.replies import Replies

NOW = 1_765_000_000.5
KEPT = Reply(202, '{"title": "прийнято"}')


class RepliesContract:
    def test_the_first_caller_works_and_later_ones_get_its_reply(self, replies: Replies) -> None:
        assert replies.claim("k", "d1", NOW) is None
        replies.keep("k", KEPT.status, KEPT.body)
        assert replies.claim("k", "d1", NOW + 1) == KEPT
        assert replies.claim("k", "d1", NOW + 1e6) == KEPT
        assert replies.claim("other", "d1", NOW) is None

    @pytest.mark.parametrize("after_s", [-90_000, 0, 1, 59.9])
    def test_while_the_first_is_at_work_others_are_sent_away(
        self, replies: Replies, after_s: float
    ) -> None:
        replies.claim("k", "d1", NOW)
        with pytest.raises(ConflictError, match="still at work"):
            replies.claim("k", "d1", NOW + after_s)

    def test_the_claim_of_one_who_died_is_taken_over_once(self, replies: Replies) -> None:
        replies.claim("k", "d1", NOW)
        assert replies.claim("k", "d1", NOW + 60) is None
        with pytest.raises(ConflictError, match="still at work"):
            replies.claim("k", "d1", NOW + 61)
        assert replies.claim("k", "d1", NOW + 120) is None

    def test_the_first_reply_stays(self, replies: Replies) -> None:
        replies.claim("k", "d1", NOW)
        replies.keep("k", KEPT.status, KEPT.body)
        replies.keep("k", 500, "late")
        replies.drop("k")
        assert replies.claim("k", "d1", NOW + 100) == KEPT

    def test_another_request_with_the_key_is_refused(self, replies: Replies) -> None:
        replies.claim("k", "d1", NOW)
        for at in (NOW, NOW + 100):
            with pytest.raises(InputError, match="came with another request"):
                replies.claim("k", "d2", at)
        replies.keep("k", KEPT.status, KEPT.body)
        with pytest.raises(InputError, match="came with another request"):
            replies.claim("k", "d2", NOW)

    def test_a_key_given_back_is_free(self, replies: Replies) -> None:
        replies.claim("k", "d1", NOW)
        replies.drop("k")
        replies.drop("never claimed")
        assert replies.claim("k", "d2", NOW) is None

    def test_only_a_claimed_key_keeps_a_reply(self, replies: Replies) -> None:
        with pytest.raises(InputError, match="was not claimed"):
            replies.keep("k", KEPT.status, KEPT.body)
        for key, match in (("", "missing"), ("a\0", "NUL"), ("\ud800", "Unicode")):
            with pytest.raises(InputError, match=match):
                replies.claim(key, "d1", NOW)

    def test_of_many_at_once_one_works(self, replies: Replies) -> None:
        def claim(_number: int) -> bool:
            try:
                return replies.claim("k", "d1", NOW) is None
            except ConflictError:
                return False

        with ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(claim, range(16))) == 1
