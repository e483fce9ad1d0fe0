from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.config.profile import Profile, read_profile
from autoscaler.config.profile_fit import DecodePoints, PrefillPoints, fit_decode, fit_prefill
from autoscaler.config.profile_tables import MAX_BYTES, ProfileError
from autoscaler.core.engines import find_engine

PROFILES = Path(__file__).parent / "profiles"
MOCKER = Path(__file__).parents[2] / "benchmarks" / "nvidia" / "profile" / "qwen3-32b-h200-tp1.npz"
LLAMA = find_engine("llama-3.1-70b", "h100", 4)[1]
QWEN = find_engine("qwen3-32b", "h200", 1)[1]
PREFILL = {"prefill_isl": [100.0, 1000.0, 4000.0], "prefill_ttft": [16.6, 68.3, 248.7]}
DECODE = {
    "x_kv_usage": [0.01, 0.2, 0.8, 0.1, 0.5],
    "y_context_length": [500.0, 500.0, 500.0, 4000.0, 4000.0],
    "z_itl": [15.6, 21.0, 34.6, 16.8, 22.8],
    "max_kv_tokens": [457000],
}
OWN = """
apiVersion: pd-autoscaler.io/v1alpha1
kind: EngineProfile
kvCapacityTokens: 457000
maxSequences: 128
prefill:
  - {promptTokens: 100, time: 16.6ms}
  - {promptTokens: 1000, time: 68.3ms}
  - {promptTokens: 4000, time: 248.7ms}
  - {promptTokens: 4000, cachedTokens: 2000, time: 132.6ms}
decode:
  - {sequences: 1, contextTokens: 1000, time: 15.3ms}
  - {sequences: 32, contextTokens: 1000, time: 17.1ms}
  - {sequences: 32, contextTokens: 8000, time: 23ms}
"""


def finds_llama(found: Profile) -> bool:
    assert found.prefill is not None
    assert found.decode is not None
    prefill = all(
        found.prefill.request_ms(n) == pytest.approx(LLAMA.prefill.request_ms(n), rel=0.02) for n in (500, 4000, 12_000)
    )
    decode = all(
        found.decode.step_ms(b, b * n) == pytest.approx(LLAMA.decode.step_ms(b, b * n), rel=0.05)
        for b, n in ((1, 500), (64, 4000), (20, 12_000))
    )
    return prefill and decode


def saved(folder: Path, columns: Mapping[str, Any], name: str = "raw.npz") -> Path:
    path = folder / name
    if name.endswith(".json"):
        path.write_text(json.dumps(columns))
    else:
        arrays: dict[str, Any] = {key: np.asarray(value) for key, value in columns.items()}
        np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("name", ["dynamo", "dynamo-json"])
def test_what_dynamos_profiler_wrote_gives_the_engine_that_it_measured(name: str) -> None:
    found = read_profile(PROFILES / name)

    assert finds_llama(found)
    assert found.kv_capacity_tokens == 457_000


def test_npz_and_json_of_one_profile_say_the_same() -> None:
    npz, text = read_profile(PROFILES / "dynamo"), read_profile(PROFILES / "dynamo-json")

    assert (npz.prefill, npz.decode) == (text.prefill, text.decode)


def test_the_grid_of_dynamos_mocker_gives_the_built_in_row_of_its_engine() -> None:
    found = read_profile(MOCKER)

    assert found.prefill is not None
    assert found.decode is not None
    assert found.prefill.request_ms(4000) == pytest.approx(QWEN.prefill.request_ms(4000), rel=0.1)
    assert found.decode.step_ms(32, 32 * 4000) == pytest.approx(QWEN.decode.step_ms(32, 32 * 4000), rel=0.1)
    assert found.source == "profile qwen3-32b-h200-tp1.npz (prefill within 8.2%, decode within 6.7%)"


def test_single_runs_of_aiconfigurator_give_the_built_in_row_of_their_engine() -> None:
    found = read_profile(PROFILES / "aiconfigurator-static.csv")

    assert found.prefill is not None
    assert found.decode is not None
    assert found.prefill.request_ms(4000) == pytest.approx(QWEN.prefill.request_ms(4000), rel=0.1)
    assert found.decode.step_ms(32, 32 * 4000) == pytest.approx(QWEN.decode.step_ms(32, 32 * 4000), rel=0.1)
    assert found.kv_capacity_tokens is None


def test_a_sweep_of_aiconfigurator_gives_its_best_arrangement_at_the_lengths_it_swept() -> None:
    found = read_profile(PROFILES / "aiconfigurator")

    assert found.prefill is not None
    assert found.decode is not None
    assert found.prefill.request_ms(4000) == pytest.approx(LLAMA.prefill.request_ms(4000), rel=0.01)
    assert found.decode.step_ms(30, 30 * 4250) == pytest.approx(LLAMA.decode.step_ms(30, 30 * 4250), rel=0.01)


def test_our_own_points_give_the_engine(tmp_path: Path) -> None:
    path = tmp_path / "engine.yaml"
    path.write_text(OWN)

    found = read_profile(path)

    assert finds_llama(found)
    assert (found.kv_capacity_tokens, found.max_sequences) == (457_000, 128)


def test_rows_as_json_are_rows_as_csv(tmp_path: Path) -> None:
    rows = (PROFILES / "aiconfigurator-static.csv").read_text().splitlines()
    keys = rows[0].split(",")
    path = tmp_path / "runs.json"
    path.write_text(json.dumps([dict(zip(keys, row.split(","), strict=True)) for row in rows[1:]]))

    assert read_profile(path).decode == read_profile(PROFILES / "aiconfigurator-static.csv").decode


def test_a_mixture_of_experts_gets_a_piece_for_small_batches() -> None:
    deepseek = find_engine("deepseek-r1", "h200", 8)[1].decode
    batch, context = (grid.ravel() for grid in np.meshgrid([1.0, 4, 8, 16, 24, 64, 128, 256], [500.0, 4000]))
    times = np.array([deepseek.step_ms(b, b * c) for b, c in zip(batch, context, strict=True)])

    fit = fit_decode(DecodePoints(batch, batch * context, times))

    assert fit.timing.small_batch is not None
    assert fit.timing.small_batch_max == 16
    assert fit.error_ratio < 0.001
    assert fit.timing.step_ms(8, 8 * 2000) == pytest.approx(deepseek.step_ms(8, 8 * 2000), rel=0.01)


def test_noise_makes_no_mixture_of_experts_of_a_dense_model() -> None:
    noise = np.random.default_rng(1)
    batch, context = (grid.ravel() for grid in np.meshgrid([1.0, 4, 8, 16, 24, 64, 128, 256], [500.0, 4000]))
    times = np.array([LLAMA.decode.step_ms(b, b * c) for b, c in zip(batch, context, strict=True)])

    fit = fit_decode(DecodePoints(batch, batch * context, times * noise.normal(1.0, 0.1, times.size)))

    assert fit.timing.small_batch is None


@given(
    a=st.floats(0, 100),
    b=st.floats(0.001, 1.0),
    c=st.floats(0, 1e-5),
    noise=st.lists(st.floats(0.8, 1.25), min_size=6, max_size=6),
)
def test_no_constant_of_a_fit_is_negative_and_its_error_is_that_of_the_points(
    a: float, b: float, c: float, noise: list[float]
) -> None:
    tokens = np.array([100.0, 500, 1000, 4000, 8000, 16_000])
    times = (a + b * tokens + c * tokens**2) * np.array(noise)

    fit = fit_prefill(PrefillPoints(tokens, np.zeros(6), np.ones(6), times))

    assert min(fit.timing.a_ms, fit.timing.b_ms_per_token, fit.timing.c_ms_per_token2) >= 0
    errors = [abs(fit.timing.request_ms(n) / t - 1) for n, t in zip(tokens, times, strict=True)]
    assert fit.error_ratio == pytest.approx(np.mean(errors), abs=1e-9)
    assert fit.error_ratio < 0.25


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (PREFILL | {"prefill_ttft": [16.6, -4.0, 248.7]}, "prefill_ttft[1] is -4; a time in ms, more than 0"),
        (PREFILL | {"prefill_ttft": [16.6, np.nan, 248.7]}, "prefill_ttft[1] is nan"),
        (PREFILL | {"prefill_ttft": [16.6, np.inf, 248.7]}, "prefill_ttft[1] is inf"),
        (PREFILL | {"prefill_ttft": [16.6, 68.3]}, "2 and 3 values"),
        (PREFILL | {"prefill_ttft": [0.0166, 0.0683, 0.2487]}, "is the unit of time ms?"),
        (PREFILL | {"prefill_ttft": [16.6e6, 68.3e6, 1e9]}, "is the unit of time ms?"),
        (PREFILL | {"prefill_ttft": [900.0, 900.0, 900.0]}, "as long for any prompt"),
        (PREFILL | {"prefill_isl": [0.0, 1000.0, 4000.0]}, "prefill_isl[0] is 0"),
        ({"prefill_isl": [100.0], "prefill_ttft": [16.6]}, "has 1 prefill points; 3 at least"),
        ({"prefill_isl": PREFILL["prefill_isl"], "prefil_ttft": [1.0]}, "prefill_ttft_ms is missing"),
        (DECODE | {"x_kv_usage": [1, 20, 80, 10, 50]}, "x_kv_usage[1] is 20; a share of the KV cache"),
        (DECODE | {"z_itl": [0.015, 0.021, 0.034, 0.017, 0.023]}, "is the unit of time ms?"),
        (DECODE | {"z_itl": [15.0, 1500.0, 20.0, 900.0, 15.0]}, "follow no engine's model"),
        (DECODE | {"max_kv_tokens": [3]}, "KV capacity of 3 tokens"),
        (DECODE | {"z_itl": ["a", "b", "c", "d", "e"]}, "z_itl is no list of numbers"),
        ({"x": [1.0]}, "is of no profiler known here: it has x"),
    ],
)
def test_a_profile_that_cannot_be_true_is_refused_with_the_value(
    tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProfileError) as refusal:
        read_profile(saved(tmp_path, columns))

    assert words in str(refusal.value)
    assert "raw.npz" in str(refusal.value)


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no NPZ of plain numbers"):
        read_profile(saved(tmp_path, {"prefill_isl": np.array([{"a": 1}], dtype=object)}))


def npy(shape: str, data: bytes = b"") -> bytes:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head + data


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_archive_is_refused(tmp_path: Path, method: int) -> None:
    path = tmp_path / "raw.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("prefill_isl.npy", npy("(200,)", bytes(range(200)) * 8))
    raw = bytearray(path.read_bytes())
    begin = 30 + len("prefill_isl.npy")  # of the compressed data, after the fixed part of the head and the name
    raw[begin : begin + 60] = b"\xff" * 60
    path.write_bytes(raw)

    with pytest.raises(ProfileError, match="no NPZ of plain numbers"):
        read_profile(path)


def test_an_array_that_claims_to_be_larger_than_any_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "raw.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("prefill_isl.npy", npy("(1000000000000000,)"))

    with pytest.raises(ProfileError, match="no NPZ of plain numbers"):
        read_profile(path)


def test_a_file_that_unpacks_to_too_much_is_refused_unopened(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("prefill_isl.npy", bytes(65 << 20))

    with pytest.raises(ProfileError, match="unpacks to more than 64 MiB"):
        read_profile(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.npz", b"no zip", "is no NPZ"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b"3", "neither columns nor rows"),
        ("a.json", b"[" * 100_000, "is no JSON"),
        ("a.csv", b"\xff\xfe", "is no CSV"),
        ("a.csv", b"isl,bs\n", "is no list of rows"),
        ("a.csv", b"isl,bs,ttft,bs\n1,2,3,4\n", "the column bs stands there twice: remove one"),
        ("a.csv", b"isl,bs,ttft\n1,2,3\n", "do not tell the phases apart"),
        ("a.txt", b"", "use .yaml, .npz, .json or .csv"),
        ("a.yaml", b"kind: EngineProfile", "apiVersion"),
        (
            "a.yaml",
            OWN.replace("sequences: 1,", "sequence: 1,").encode(),
            "decode[0].sequence: is no key of this place (allowed: sequences, contextTokens, time, did you",
        ),
        ("a.yaml", OWN.replace("16.6ms", "16.6").encode(), "a.yaml:7: prefill[0].time: is a number without a unit"),
        ("a.yaml", OWN.replace("cachedTokens: 2000", "cachedTokens: 4000").encode(), "not less than promptTokens"),
        (
            "a.yaml",
            OWN.replace("maxSeq", "maxSek").encode(),
            "a.yaml:5: maxSekuences: is no key of this place (allowed: ",
        ),
        (
            "a.yaml",
            OWN.replace("EngineProfile", "Profile").encode(),
            "kind: is not known here (got Profile, allowed: Eng",
        ),
        (
            "a.yaml",
            OWN.replace("s: 128", "s: 0").encode(),
            "a.yaml:5: maxSequences: is out of range (got 0, allowed: at",
        ),
        ("a.yaml", OWN.replace("s: 128", "s: many").encode(), "maxSequences: must be a whole number (got many)"),
        (
            "a.yaml",
            b"- 1",
            "is a list, where a profile (keys apiVersion, kind, kvCapacityTokens, maxSequences, prefill",
        ),
        ("a.yaml", OWN.split("prefill:", maxsplit=1)[0].encode(), "neither prefill nor decode"),
        ("a.json", b" " * (MAX_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(ProfileError) as refusal:
        read_profile(path)

    assert words in str(refusal.value)


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    saved(tmp_path, PREFILL, "prefill.npz")

    with pytest.raises(ProfileError, match=r"did you mean .*prefill.npz"):
        read_profile(tmp_path / "prefil.npz")


def test_an_empty_folder_is_answered_with_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"holds none of selected_prefill_interpolation/raw_data.npz"):
        read_profile(tmp_path)
