"""What every store of tokens must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from predator.domain.canonical import sha256_hex
from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import Role, Token
from predator.ports.tokens import Tokens

NOW = 1_765_000_000.5
TEXT = "pt_" + "x" * 40
DIGEST = sha256_hex(TEXT.encode())
TOKEN = Token("t1", "olena", Role.OPERATOR, frozenset({"local", "edge-oracle"}), NOW, NOW + 3600)


class TokensContract:
    def test_a_token_is_found_by_the_hash_of_its_text(self, tokens: Tokens) -> None:
        assert tokens.find(DIGEST) is None
        tokens.add(TOKEN, DIGEST)
        assert tokens.find(DIGEST) == TOKEN
        assert tokens.find(DIGEST.upper()) is None
        assert tokens.find(TEXT) is None
        assert tokens.find("") is None

    def test_every_role_and_every_contour_come_back(self, tokens: Tokens) -> None:
        made = [replace(TOKEN, id=role.value, role=role, contours=frozenset()) for role in Role]
        for token in made:
            tokens.add(token, sha256_hex(token.id.encode()))
        assert list(tokens.list()) == made
        assert all(isinstance(token.role, Role) for token in tokens.list())

    def test_a_known_id_or_text_is_a_conflict(self, tokens: Tokens) -> None:
        tokens.add(TOKEN, DIGEST)
        for token, digest in (
            (replace(TOKEN, actor="taras"), "a" * 64),
            (replace(TOKEN, id="t2"), DIGEST),
        ):
            with pytest.raises(ConflictError, match="is known already"):
                tokens.add(token, digest)
        assert list(tokens.list()) == [TOKEN]

    @pytest.mark.parametrize("digest", [TEXT, "", DIGEST.upper(), f"{DIGEST}\n", DIGEST[1:]])
    def test_the_text_itself_is_never_kept(self, tokens: Tokens, digest: str) -> None:
        with pytest.raises(ValueError, match="SHA-256"):
            tokens.add(TOKEN, digest)
        assert list(tokens.list()) == []

    def test_a_revoked_token_is_found_but_opens_nothing(self, tokens: Tokens) -> None:
        tokens.add(TOKEN, DIGEST)
        assert tokens.revoke("t1", NOW + 1)
        assert not tokens.revoke("t1", NOW + 2)
        assert not tokens.revoke("t9", NOW + 2)
        found = tokens.find(DIGEST)
        assert found == replace(TOKEN, revoked_at=NOW + 1)
        assert found is not None and not found.usable(NOW + 1)

    def test_what_cannot_be_kept_is_refused(self, tokens: Tokens) -> None:
        with pytest.raises(InputError, match="actor is missing"):
            tokens.add(replace(TOKEN, actor=""), DIGEST)
        with pytest.raises(InputError, match="contour is missing"):
            tokens.add(replace(TOKEN, contours=frozenset({""})), DIGEST)
        with pytest.raises(ValueError, match="root"):
            tokens.add(replace(TOKEN, role="root"), DIGEST)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="not a time"):
            tokens.add(replace(TOKEN, expires_at=float("inf")), DIGEST)
        with pytest.raises(ValueError, match="before it was made"):
            tokens.add(replace(TOKEN, revoked_at=NOW), DIGEST)
        assert list(tokens.list()) == []

    def test_of_many_revocations_at_once_one_did_it(self, tokens: Tokens) -> None:
        tokens.add(TOKEN, DIGEST)
        with ThreadPoolExecutor(8) as pool:
            did = list(pool.map(lambda n: tokens.revoke("t1", NOW + n), range(8)))
        assert sum(did) == 1
