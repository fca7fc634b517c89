"""Versions that never move: what may become one, which is Gold, and the way back to each."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.adapters.datasets.dvc_git import DvcDatasets
from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.object_store.folder import FolderObjectStore
from predator.adapters.object_store.memory import MemoryObjectStore
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.adapters.tracking.memory import MemoryTracking
from predator.domain.canonical import canonical_json
from predator.domain.errors import ConflictError, InputError, IntegrityError
from predator.domain.release import Release, RetrievalParameters
from predator.loop.gold.versions import (
    comparable,
    is_new_gold,
    keep_version,
    next_version,
    settle,
    tag_dataset,
    tag_model,
    target,
)
from predator.loop.release.bundle import keep_encoder, restore_encoder, verify_bundle
from predator.loop.release.desired_state import DesiredState
from predator.loop.replica import keep_release
from predator.ports.releases import KeptRelease
from predator.search.desired import LiveRelease
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import MANIFEST, MODEL, TOKENIZER, EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.rerank import dump_reranker
from tests.search.encoder.tiny import tiny_folder

AT = 1_765_000_000.0
SET_A, SET_B = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    folder = tmp_path_factory.mktemp("encoder")
    return prepare_encoder(tiny_folder(folder / "source"), folder / "cache", max_tokens=32)


@dataclass
class World:
    """A repository, its objects, and releases that went live one after another."""

    root: Path
    encoder: EncoderFiles

    def __post_init__(self) -> None:
        self.objects = FolderObjectStore(self.root / "objects")
        self.desired = DesiredState(BareGit(self.root / "gitops.git"), "local")
        self.releases = GtoGitReleases(self.root / "gitops.git")

    def bundle(self, number: int) -> Release:
        release = Release(
            keep_encoder(self.objects, self.encoder),
            "schema-1",
            self.objects.put(b"rules"),
            RetrievalParameters(dense_weight=number / 100),
            self.objects.put(dump_reranker(f"reranker {number}", 0.0)),
        )
        keep_release(self.objects, release)
        return release

    def promoted(self, number: int, ndcg: float | None = 0.7, gold_set: str = SET_A) -> KeptRelease:
        """What a cycle would keep after its commit."""
        live = LiveRelease(
            f"v{number}.0", self.bundle(number).digest, f"si_2025_12_07_{number:03d}"
        )
        trailers = {"Cycle": live.cycle, "Step": "promote"}
        revision = self.desired.set_release(live, None, f"Promote {live.version}", trailers)
        return KeptRelease(live.version, live.digest, revision, live.cycle, AT, ndcg, gold_set)

    def keep(self, release: KeptRelease) -> KeptRelease:
        return keep_version(self.releases, self.objects, self.desired, release)

    def settled(self, number: int, ndcg: float | None = 0.7, gold_set: str = SET_A) -> KeptRelease:
        kept = self.keep(self.promoted(number, ndcg, gold_set))
        return settle(self.releases, kept.version, AT, passed_gate=True)

    def target(self, version: str) -> LiveRelease:
        return target(self.releases, self.objects, self.desired, version)

    def file(self, digest: str) -> Path:
        return self.root / "objects" / digest[:2] / digest[2:]

    def parts(self, digest: str) -> dict[str, str]:
        """Part → digest of every object below a release."""
        release = Release.from_json(json.loads(self.objects.get(digest)))
        identity = json.loads(self.objects.get(release.encoder))
        assert release.reranker is not None
        return {
            "release": digest,
            "rules": release.rules,
            "reranker": release.reranker,
            "encoder": release.encoder,
            f"encoder {MODEL}": identity["model"],
            f"encoder {TOKENIZER}": identity["tokenizer"],
        }


@pytest.fixture
def world(tmp_path: Path, encoder: EncoderFiles) -> World:
    return World(tmp_path, encoder)


class TestGoldDecision:
    @pytest.mark.parametrize(
        "ndcg, gold, same_set, is_gold",
        [
            (0.80, 0.75, True, True),
            (0.75, 0.75, True, False),
            (0.70, 0.75, True, False),
            (0.70, 0.75, False, True),
            (0.70, None, True, True),
            (0.70, None, False, True),
            (0.70, math.nan, True, True),
            (0.0, None, False, True),
        ],
    )
    def test_gold_is_better_on_the_same_queries_or_has_passed_on_new_ones(
        self, ndcg: float, gold: float | None, same_set: bool, is_gold: bool
    ) -> None:
        assert is_new_gold(ndcg, gold, comparable=same_set, passed_gate=True) is is_gold

    @given(
        ndcg=st.none() | st.floats(),
        gold=st.none() | st.floats(),
        same_set=st.booleans(),
        passed=st.booleans(),
    )
    def test_nothing_unmeasured_or_unproven_becomes_gold(
        self, ndcg: float | None, gold: float | None, same_set: bool, passed: bool
    ) -> None:
        found = is_new_gold(ndcg, gold, comparable=same_set, passed_gate=passed)
        if not passed or ndcg is None or not 0 <= ndcg <= 1:
            assert not found
        elif same_set and gold is not None and 0 <= gold <= 1:
            assert found == (ndcg > gold)

    def test_only_equal_gold_queries_compare(self) -> None:
        one = KeptRelease("v2.0", SET_A, "c" * 40, "c", AT, 0.7, SET_A)
        assert comparable(one, one)
        assert not comparable(one, None)
        assert not comparable(one, replace(one, gold_set=SET_B))
        assert not comparable(replace(one, gold_set=""), replace(one, gold_set=""))


class TestKeeping:
    def test_a_promoted_release_gets_its_version(self, world: World) -> None:
        release = world.promoted(2)
        assert world.keep(release) == release == world.releases.get("v2.0")
        assert world.keep(replace(release, at=AT + 5)) == release

    @pytest.mark.parametrize("fault", ["deleted", "emptied", "flipped", "another object"])
    def test_a_bundle_with_a_part_missing_or_damaged_is_refused(
        self, world: World, fault: str
    ) -> None:
        release = world.promoted(2)
        for part, digest in world.parts(release.digest).items():
            file = world.file(digest)
            good = file.read_bytes()
            file.chmod(0o644)
            if fault == "deleted":
                file.unlink()
            elif fault == "emptied":
                file.write_bytes(b"")
            elif fault == "flipped":
                file.write_bytes(bytes([good[0] ^ 1]) + good[1:])
            else:
                file.write_bytes(b"rules" if part != "rules" else b"others")
            [found] = verify_bundle(world.objects, release.digest)
            assert found.startswith(f"{part} (")
            with pytest.raises(IntegrityError, match=rf"v2\.0 is not whole: {part} \("):
                world.keep(release)
            assert list(world.releases.list()) == []
            file.write_bytes(good)
        assert world.keep(release) == release

    def test_every_fault_is_named_at_once(self, world: World) -> None:
        release = world.promoted(2)
        parts = world.parts(release.digest)
        for part in ("rules", "reranker", f"encoder {MODEL}"):
            world.file(parts[part]).unlink()
        found = verify_bundle(world.objects, release.digest)
        assert [line.partition(" (")[0] for line in found] == [
            *("rules", "reranker", f"encoder {MODEL}")
        ]

    @pytest.mark.parametrize(
        "data", [b"", b"[]", b"null", b"{}", b'{"encoder":1}', b"[" * 99_999, b"\xff", b"3"]
    )
    def test_what_is_no_release_or_no_encoder_is_no_bundle(self, data: bytes) -> None:
        objects = MemoryObjectStore()
        [found] = verify_bundle(objects, objects.put(data))
        assert found.startswith("release (")
        release = Release(objects.put(data), "s", objects.put(b"r"), RetrievalParameters())
        [found] = verify_bundle(objects, keep_release(objects, release))
        assert found.startswith("encoder (")

    def test_a_release_that_names_paths_in_place_of_digests_is_no_bundle(self) -> None:
        objects = MemoryObjectStore()
        release = Release("../../etc/passwd", "s", "/etc/passwd", RetrievalParameters(), "..")
        found = verify_bundle(objects, keep_release(objects, release))
        assert [line.partition(" (")[0] for line in found] == ["rules", "reranker", "encoder"]

    def test_a_version_is_bound_to_what_its_commit_made_live(self, world: World) -> None:
        second, third = world.promoted(2), world.promoted(3)
        for wrong in (
            replace(second, digest=third.digest),
            replace(second, revision=third.revision),
            replace(second, version="v9.0"),
            replace(second, cycle_id="si_2025_12_07_009"),
        ):
            with pytest.raises(IntegrityError, match="live"):
                world.keep(wrong)
        assert list(world.releases.list()) == []


class TestGold:
    def test_each_new_best_is_gold_and_the_others_are_stable(self, world: World) -> None:
        values = {2: 0.70, 3: 0.69, 4: 0.70, 5: 0.74, 6: None}
        settled = [world.settled(number, ndcg) for number, ndcg in values.items()]
        assert all(release.stable_at == AT for release in settled)
        gold = [release.version for release in settled if release.gold_at is not None]
        assert gold == ["v2.0", "v5.0"]

    def test_new_gold_queries_start_a_new_comparison(self, world: World) -> None:
        world.settled(2, 0.9, SET_A)
        assert world.settled(3, 0.4, SET_B).gold_at == AT
        assert world.settled(4, 0.3, SET_B).gold_at is None

    def test_a_founding_release_passed_no_gate(self, world: World) -> None:
        kept = world.keep(world.promoted(1))
        assert settle(world.releases, kept.version, AT, passed_gate=False).gold_at is None
        assert world.settled(2, 0.1).gold_at == AT

    def test_a_cycle_that_repeats_its_last_step_moves_nothing(self, world: World) -> None:
        second = world.settled(2, 0.5)
        third = world.settled(3, 0.9)
        assert settle(world.releases, "v2.0", AT + 9, passed_gate=True) == second
        assert settle(world.releases, "v3.0", AT + 9, passed_gate=True) == third
        assert world.releases.newest("gold") == third

    def test_a_late_writer_gets_stable_but_never_takes_gold_back(self, world: World) -> None:
        late = world.keep(world.promoted(2, 0.99))
        newer = world.settled(3, 0.5)
        assert settle(world.releases, late.version, AT, passed_gate=True).gold_at is None
        assert world.releases.newest("gold") == newer

    def test_the_registry_keeps_a_tag_a_version_and_one_alias(
        self, world: World, tmp_path: Path
    ) -> None:
        tracking = MemoryTracking()
        references = {}
        for number, ndcg in {2: 0.70, 3: 0.60, 4: 0.80}.items():
            version = world.settled(number, ndcg).version
            (tmp_path / "model").write_text(version)
            run_id = tracking.start(f"si_2025_12_07_{number:03d}", {})
            references[version] = tracking.register(run_id, "reranker", tmp_path / "model", {})
            tag_model(tracking, references[version], world.releases, version)
        tag_model(tracking, references["v2.0"], world.releases, "v2.0")
        tags = {v: dict(tracking.models[r].tags) for v, r in references.items()}
        assert {v: t.get("gold") for v, t in tags.items()} == {
            "v2.0": "v2.0",
            "v3.0": None,
            "v4.0": "v4.0",
        }
        assert {t["stable"] for t in tags.values()} == {"true"}
        assert tags["v3.0"]["ndcg"] == "0.6"
        assert tracking.aliases == {("reranker", "gold"): "3"}

    def test_a_release_that_was_only_promoted_has_no_stable_tag(
        self, world: World, tmp_path: Path
    ) -> None:
        tracking = MemoryTracking()
        world.keep(world.promoted(2))
        (tmp_path / "model").write_text("x")
        reference = tracking.register(
            tracking.start("si_2025_12_07_002", {}), "reranker", tmp_path / "model", {}
        )
        tag_model(tracking, reference, world.releases, "v2.0")
        assert {"stable", "gold"}.isdisjoint(tracking.models[reference].tags)
        assert tracking.aliases == {}


class TestVersions:
    def test_a_version_that_was_rolled_back_is_not_given_again(self, world: World) -> None:
        world.settled(2)
        world.keep(world.promoted(3))
        assert next_version("v2.0", world.releases.list()) == "v4.0"

    @pytest.mark.parametrize(
        "live, following", [("v1.0", "v2.0"), ("v1.7", "v2.0"), ("v10.0", "v11.0")]
    )
    def test_the_first_versions_follow_what_is_live(self, live: str, following: str) -> None:
        assert next_version(live, []) == following

    def test_what_is_no_version_has_none_that_follows(self) -> None:
        with pytest.raises(InputError, match="is not a version"):
            next_version("latest", [])


class TestDatasets:
    def test_the_training_data_gets_the_name_of_the_version_once(self, tmp_path: Path) -> None:
        datasets = DvcDatasets(tmp_path / "lineage", tmp_path / "remote", ["true"])
        gitops = BareGit(tmp_path / "bare.git")
        revision = gitops.commit({"dvc.lock": "x"}, "s", {}, parent=None)
        git = ["git", "clone", "-q", str(tmp_path / "bare.git"), str(tmp_path / "lineage")]
        subprocess.run(git, check=True)
        release = KeptRelease("v2.0", SET_A, "c" * 40, "c", AT, dataset=revision)
        for _ in range(2):
            assert tag_dataset(datasets, release) == "predator-dataset@v2.0.0"
        with pytest.raises(InputError, match="already names revision"):
            tag_dataset(datasets, replace(release, dataset="d" * 40))

    def test_a_release_without_data_names_none(self, tmp_path: Path) -> None:
        datasets = DvcDatasets(tmp_path / "lineage", tmp_path / "remote", ["true"])
        release = KeptRelease("v1.0", SET_A, "c" * 40, "bootstrap", AT)
        assert tag_dataset(datasets, release) is None
        assert not (tmp_path / "lineage").exists()


class TestWayBack:
    def test_every_stable_version_can_be_had_again(self, world: World) -> None:
        settled = [world.settled(number) for number in range(2, 7)]
        for release in settled:
            found = world.target(release.version)
            assert found == LiveRelease(release.version, release.digest, release.cycle_id)

    def test_it_comes_back_in_a_clone_of_both_stores(self, world: World, tmp_path: Path) -> None:
        release = world.settled(2)
        world.settled(3)
        shutil.copytree(world.root / "gitops.git", tmp_path / "later" / "gitops.git")
        shutil.copytree(world.root / "objects", tmp_path / "later" / "objects")
        later = World(tmp_path / "later", world.encoder)
        live = later.target("v2.0")
        trailers = {"Cycle": "rollback-1", "Step": "rollback"}
        later.desired.set_release(live, None, "Roll back to v2.0", trailers)
        assert later.desired.read().release.digest == release.digest

    def test_an_unknown_version_names_its_nearest(self, world: World) -> None:
        with pytest.raises(InputError, match="None is stable yet"):
            world.target("v2.0")
        for number in (2, 3, 4, 9):
            world.settled(number)
        with pytest.raises(InputError, match=r"no release v5\.0.*v4\.0, v3\.0, v2\.0"):
            world.target("v5.0")
        with pytest.raises(InputError, match=r"nearest stable ones are v9\.0, v4\.0, v3\.0"):
            world.target("v8.0")

    @pytest.mark.parametrize("version", ["", "v2", "../v2.0", "v2.0\n", "HEAD", "latest"])
    def test_what_is_no_version_is_refused(self, world: World, version: str) -> None:
        world.settled(2)
        with pytest.raises(InputError, match="A version reads"):
            world.target(version)

    def test_a_version_that_never_proved_itself_is_no_way_back(self, world: World) -> None:
        world.settled(2)
        world.keep(world.promoted(3))
        with pytest.raises(InputError, match=r"v3\.0 never proved stable.*v2\.0"):
            world.target("v3.0")

    @pytest.mark.parametrize("part", ["release", "rules", "reranker", "encoder", MODEL, TOKENIZER])
    def test_a_damaged_one_is_refused_before_anything_changes(
        self, world: World, part: str
    ) -> None:
        release, _ = world.settled(2), world.settled(3)
        [digest] = [d for name, d in world.parts(release.digest).items() if name.endswith(part)]
        world.file(digest).unlink()
        before = world.desired.history(), world.releases.list()
        with pytest.raises(
            IntegrityError, match=rf"v2\.0 is not whole: .*{part} \(object {digest}"
        ):
            world.target("v2.0")
        assert (world.desired.history(), world.releases.list()) == before

    def test_an_entry_that_its_commit_does_not_bear_out_is_refused(self, world: World) -> None:
        second, third = world.promoted(2), world.settled(3)
        # Whoever may push can write a tag in the right form; it cannot change the commit.
        world.releases.keep(replace(second, digest=third.digest))
        world.releases.mark("v2.0", "stable", AT)
        with pytest.raises(IntegrityError, match="its commit made"):
            world.target("v2.0")


class TestEncoderBytes:
    def test_the_encoder_comes_back_bit_for_bit(
        self, encoder: EncoderFiles, tmp_path: Path
    ) -> None:
        objects = FolderObjectStore(tmp_path / "objects")
        digest = keep_encoder(objects, encoder)
        assert digest == encoder.digest
        restored = restore_encoder(objects, digest, tmp_path / "later" / "encoder")
        assert replace(restored, folder=encoder.folder) == encoder
        for name in (MODEL, TOKENIZER, MANIFEST):
            assert (restored.folder / name).read_bytes() == (encoder.folder / name).read_bytes()
        texts = ["read a table", "search file"]
        wanted, got = OnnxEncoder(encoder).encode(texts), OnnxEncoder(restored).encode(texts)
        assert (wanted == got).all()

    def test_a_float_encoder_is_known_from_an_integer_one(self, tmp_path: Path) -> None:
        source = tiny_folder(tmp_path / "source")
        exact = prepare_encoder(source, tmp_path / "cache", max_tokens=32, int8=False)
        objects = FolderObjectStore(tmp_path / "objects")
        restored = restore_encoder(objects, keep_encoder(objects, exact), tmp_path / "again")
        assert (restored.int8, restored.dim) == (False, exact.dim)

    def test_keeping_and_restoring_again_adds_nothing(
        self, encoder: EncoderFiles, tmp_path: Path
    ) -> None:
        objects = FolderObjectStore(tmp_path / "objects")
        for _ in range(3):
            restore_encoder(objects, keep_encoder(objects, encoder), tmp_path / "again")
        assert len(list((tmp_path / "objects").glob("??/*"))) == 3
        assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "objects"]

    def test_a_damaged_encoder_leaves_no_folder(
        self, encoder: EncoderFiles, tmp_path: Path
    ) -> None:
        objects = FolderObjectStore(tmp_path / "objects")
        digest = keep_encoder(objects, encoder)
        for sha256 in (encoder.tokenizer_sha256, encoder.model_sha256, digest):
            (tmp_path / "objects" / sha256[:2] / sha256[2:]).unlink()
            with pytest.raises(IntegrityError, match=f"{sha256} is missing"):
                restore_encoder(objects, digest, tmp_path / "again")
            assert sorted(p.name for p in tmp_path.iterdir()) == ["objects"]

    def test_a_folder_with_something_else_is_left_alone(
        self, encoder: EncoderFiles, tmp_path: Path
    ) -> None:
        objects = MemoryObjectStore()
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / MODEL).write_text("mine")
        with pytest.raises(InputError, match="is not free"):
            restore_encoder(objects, keep_encoder(objects, encoder), tmp_path / "mine")
        assert (tmp_path / "mine" / MODEL).read_text() == "mine"

    def test_a_cache_that_holds_something_else_is_made_anew(
        self, encoder: EncoderFiles, tmp_path: Path
    ) -> None:
        objects = MemoryObjectStore()
        digest = keep_encoder(objects, encoder)
        restore_encoder(objects, digest, tmp_path / "cache", anew=True)
        (tmp_path / "cache" / MODEL).write_bytes(b"rotten")
        restored = restore_encoder(objects, digest, tmp_path / "cache", anew=True)
        assert restored.model() == encoder.model()

    def test_another_exporter_or_no_graph_at_all_is_said(
        self, encoder: EncoderFiles, tmp_path: Path
    ) -> None:
        objects = MemoryObjectStore()
        keep_encoder(objects, encoder)
        identity = {
            "model": encoder.model_sha256,
            "tokenizer": encoder.tokenizer_sha256,
            "max_tokens": 32,
            "exporter": 99,
        }
        with pytest.raises(InputError, match="exported by version 99"):
            restore_encoder(objects, objects.put(canonical_json(identity)), tmp_path / "x")
        for data in (b"", b"no graph", encoder.model()[:100]):
            forged = {**identity, "exporter": 1, "model": objects.put(data)}
            with pytest.raises(IntegrityError, match="not an ONNX graph"):
                restore_encoder(objects, objects.put(canonical_json(forged)), tmp_path / "x")
        assert list(tmp_path.iterdir()) == []


def test_a_version_cannot_be_kept_twice_by_two_cycles(world: World) -> None:
    world.settled(2)
    other = world.bundle(7)
    live = LiveRelease("v2.0", other.digest, "si_2025_12_08_001")
    revision = world.desired.set_release(live, None, "s", {"Cycle": live.cycle, "Step": "promote"})
    with pytest.raises(ConflictError, match="never moves"):
        world.keep(KeptRelease("v2.0", other.digest, revision, live.cycle, AT))
