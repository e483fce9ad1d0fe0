from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from autoscaler.simulation.traces import TraceError, bundled_trace, read_trace

PLAIN = "arrival_s,input_tokens,output_tokens"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens"
BURST = "Timestamp,Request tokens,Response tokens"


def mooncake(values: str, timestamp: float = 0) -> str:
    return f'{{"timestamp": {timestamp}, "output_length": 1, {values}}}\n'


def write(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["load.csv", "load.csv.gz"])
def test_a_plain_csv_is_read_packed_or_not(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "arrival_s,input_tokens,output_tokens\n1.5,100,10\n2.0,200,20\n")

    trace = read_trace(path)

    assert trace.name == "load"
    assert trace.arrival_s.tolist() == [1.5, 2.0]
    assert trace.input_tokens.tolist() == [100, 200]
    assert trace.output_tokens.tolist() == [10, 20]
    assert trace.cached_tokens.tolist() == [0, 0]
    assert trace.duration_s == 2.0


def test_optional_columns_may_come_in_any_order(tmp_path: Path) -> None:
    header = "session_id,cached_tokens,output_tokens,input_tokens,arrival_s"
    trace = read_trace(write(tmp_path / "t.csv", f"{header}\nabc,64,10,100,3\n"))

    assert (trace.input_tokens[0], trace.output_tokens[0], trace.cached_tokens[0]) == (100, 10, 64)


def test_requests_are_put_in_order_of_arrival(tmp_path: Path) -> None:
    trace = read_trace(write(tmp_path / "t.csv", "arrival_s,input_tokens,output_tokens\n9,1,1\n3,2,2\n"))

    assert trace.arrival_s.tolist() == [3.0, 9.0]
    assert trace.input_tokens.tolist() == [2, 1]


def test_azure_timestamps_become_seconds_from_the_first_request(tmp_path: Path) -> None:
    rows = "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n"
    trace = read_trace(write(tmp_path / "a.csv", f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}"))

    assert trace.arrival_s == pytest.approx([0.0, 4.314579])
    assert trace.input_tokens.tolist() == [374, 396]


def test_azure_timestamps_with_a_utc_offset_are_read_too(tmp_path: Path) -> None:
    rows = "2024-05-10 23:59:59.500000+00:00,1,2\n2024-05-11 00:00:01+00:00,3,4\n"
    trace = read_trace(write(tmp_path / "a.csv", f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}"))

    assert trace.arrival_s.tolist() == [0.0, 1.5]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2024-05-10T00:00:00Z", "2024-05-10T00:00:01Z"),
        ("2024-05-10T02:00:00+02:00", "2024-05-10T00:00:01+00:00"),
        ("2024-05-09 18:30:00-0530", "2024-05-10 00:00:01.0"),
        ("2024-05-10 02:00:00+02", " 2024-05-10 00:00:01"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_azure_timestamps_of_other_zones_are_told_in_one(tmp_path: Path, first: str, second: str) -> None:
    rows = f"{first},1,2\n{second},3,4\n"
    trace = read_trace(write(tmp_path / "a.csv", f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}"))

    assert trace.arrival_s.tolist() == [0.0, 1.0]


def test_failed_burstgpt_requests_are_left_out(tmp_path: Path) -> None:
    header = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type"
    rows = (
        "5,,1.2,ChatGPT,472,18,490,Conversation log\n7,,0.1,ChatGPT,0,0,0,API log\n45,,2,GPT-4,1087,230,1317,API log\n"
    )
    trace = read_trace(write(tmp_path / "b.csv", f"{header}\n{rows}"))

    assert trace.arrival_s.tolist() == [0.0, 40.0]
    assert trace.output_tokens.tolist() == [18, 230]
    assert trace.remarks == ("1 of 3 requests of the file have no prompt or no answer and are left out.",)


def test_mooncake_prefixes_seen_before_are_cached_in_blocks_of_512_tokens(tmp_path: Path) -> None:
    lines = (
        '{"timestamp": 1000, "input_length": 1100, "output_length": 5, "hash_ids": [1, 2, 3]}',
        '{"timestamp": 4000, "input_length": 1500, "output_length": 6, "hash_ids": [1, 2, 9]}',
        '{"timestamp": 4500, "input_length": 1100, "output_length": 7, "hash_ids": [1, 2, 3]}',
        '{"timestamp": 5000, "input_length": 600, "output_length": 8, "hash_ids": [7, 2]}',
        '{"timestamp": 6000, "input_length": 300, "output_length": 9}',
    )
    trace = read_trace(write(tmp_path / "m.jsonl", "\n".join(lines)))

    assert trace.arrival_s.tolist() == [0.0, 3.0, 3.5, 4.0, 5.0]
    assert trace.cached_tokens.tolist() == [0, 1024, 1100, 0, 0]


def test_hash_ids_of_null_are_none(tmp_path: Path) -> None:
    line = '{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": null}'

    assert read_trace(write(tmp_path / "m.jsonl", f"{line}\n{line}\n")).cached_tokens.tolist() == [0, 0]


def test_a_trace_may_begin_late_and_last_a_year(tmp_path: Path) -> None:
    rows = "100000,1,1\n31622400,10000000,10000000\n"
    trace = read_trace(write(tmp_path / "t.csv", f"arrival_s,input_tokens,output_tokens\n{rows}"))

    assert (trace.arrival_s[0], trace.duration_s) == (100_000.0, 31_622_400.0)


@pytest.mark.parametrize(
    "text",
    [
        '"arrival_s","input_tokens","output_tokens"\n0.5,30,4\n2,50,6\n',
        '"arrival_s","input_tokens","output_tokens"\r\n"0.5","30","4"\r\n"2","50","6"\r\n',
        'arrival_s, "input_tokens" ,output_tokens\n0.5, "30" ,4\n2,50,6\n',
    ],
)
def test_quotes_around_cells_are_no_part_of_them(tmp_path: Path, text: str) -> None:
    trace = read_trace(write(tmp_path / "t.csv", text))

    assert trace.arrival_s.tolist() == [0.5, 2.0]
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([30, 50], [4, 6])


def test_an_unknown_header_is_answered_with_what_was_found_and_what_is_supported(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "t_s,rps_mid\n433,22\n")

    with pytest.raises(TraceError, match=r"p\.csv.*'t_s,rps_mid'.*arrival_s.*ContextTokens.*BurstGPT.*Mooncake"):
        read_trace(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("arrival_s,input_tokens,output_tokens\n1,2\n", "line 2: 2 values for 3 columns"),
        ("arrival_s,input_tokens,output_tokens\n1,many,3\n", "many"),
        ("arrival_s,input_tokens,output_tokens\nnan,2,3\n", "finite"),
        ("arrival_s,input_tokens,output_tokens\n", "no request"),
        ("arrival_s,input_tokens,output_tokens\n1,0,0\n", "no request"),
        (f"{PLAIN},cached_tokens\n1,5,5,5\n\n2,5,5,6\n", "line 4: 6 tokens of the prompt are cached, and it has 5"),
        (
            f"{PLAIN}\n1,1,1\n\n1700000000,1,1\n",
            "line 4: the arrival 1700000000 s lies beyond 366 days: are these",
        ),
        (f"{PLAIN}\n1,1,1\n-1,1,1\n", "line 3: the arrival -1 s is negative"),
        (f"{PLAIN}\n1,1,1\ninf,1,1\n", "line 3: arrival_s is inf; a finite number"),
        (f"{PLAIN}\n1,1,1\nsoon,1,1\n", "line 3: arrival_s is 'soon', which is no time"),
        (f"{PLAIN}\n1,10000001,1\n", "line 2: input_tokens is 10000001; a whole number from 0 to 10,000,000"),
        (f"{PLAIN}\n1,1,1\n2,1,-5\n", "line 3: output_tokens is -5; a whole number"),
        (f"{PLAIN}\n1,{'9' * 23},1\n", "line 2: input_tokens is '9{23}', which is no whole number up to 10,000,000"),
        (f"{PLAIN},cached_tokens\n1,5,5,-1\n", "line 2: cached_tokens is -1"),
        (f"{PLAIN},input_tokens\n1,5,5,6\n", "line 1: the column input_tokens stands there twice"),
        (f"{BURST}\n5,-1,3\n", "line 2: Request tokens is -1"),
        (f"{BURST}\n5,1,3\n99999999,1,3\n", "line 3: the arrival 99999994 s lies beyond 366 days"),
        (f"{AZURE}\nyesterday,1,1\n", "line 2: TIMESTAMP is 'yesterday', which is no time"),
        (f"{AZURE}\n2024-05-10 00:00:00,1,1\nNaT,1,1\n", "line 3: TIMESTAMP is 'NaT'"),
        (f"{AZURE}\n9999-05-10 00:00:00,1,1\n", "line 2: TIMESTAMP is '9999-05-10 00:00:00'"),
        (f"{AZURE}\n2024-02-30 00:00:00,1,1\n", "line 2: TIMESTAMP is '2024-02-30 00:00:00'"),
        ('{"timestamp": 0, "input_length": 3}\n', "line 1.*output_length"),
        ('{"timestamp": 0, "input_length": 3, "output_length": 1}\n[]\n', "line 2"),
        ('{"timestamp": 0, "input_length": Infinity, "output_length": 1}\n', "line 1: no Mooncake request"),
        ('{"timestamp": NaN, "input_length": 1, "output_length": 1}\n', "line 1.*timestamp is nan; a finite number"),
        (mooncake(f'"input_length": {"9" * 23}'), "line 1.*input_length is 9{23}; a whole number from 0 to 10,000,000"),
        (mooncake('"input_length": -5'), "line 1.*input_length is -5"),
        (mooncake('"input_length": 5, "hash_ids": [[1]]'), "line 1.*hash_ids is .*a list of numbers is wanted"),
        (mooncake('"input_length": 5, "hash_ids": 7'), "line 1.*hash_ids is 7; a list of numbers is wanted"),
        (mooncake(f'"input_length": 5, "hash_ids": {"[" * 100_000}'), "line 1: no Mooncake request"),
        (mooncake('"input_length": 5') + mooncake('"input_length": 5', 1.7e12), "line 2: the arrival 1700000000 s"),
        ("", "the trace is empty"),
        ("\n \n", "the trace is empty"),
        (
            "arrival_s,input_token,output_tokens\n1,1,1\n",
            r"which lacks input_tokens \(written input_token\?\) to be plain\. Supported",
        ),
        ("Timestamp,Request tokens\n1,1\n", r"which lacks Response tokens to be BurstGPT\. Supported"),
        (f'{PLAIN}\n"1","1,5","1"\n', "line 2: 4 values for 3 columns"),
        (f'{PLAIN}\n"1","","1"\n', "line 2: input_tokens is '', which is no whole number"),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(TraceError, match=complaint) as caught:
        read_trace(write(tmp_path / "bad.csv", text))

    assert "bad.csv" in str(caught.value)


def test_a_file_that_is_no_gzip_in_spite_of_its_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv.gz"
    path.write_text("arrival_s,input_tokens,output_tokens\n1,2,3\n")

    with pytest.raises(TraceError, match="cannot unpack"):
        read_trace(path)


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv.gz"
    packed = bytearray(gzip.compress(b"arrival_s,input_tokens,output_tokens\n1,2,3\n"))
    packed[10] = 0xFF  # the first byte of the compressed data
    path.write_bytes(packed)

    with pytest.raises(TraceError, match=r"bad\.csv\.gz: cannot unpack"):
        read_trace(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read trace .*gone\.csv: No such file"):
        read_trace(tmp_path / "gone.csv")


def test_the_bundled_trace_is_the_published_azure_hour() -> None:
    trace = bundled_trace()

    assert trace.name == "azure2023_conv"
    assert len(trace) == 19366
    assert np.mean(trace.input_tokens) == pytest.approx(1155, abs=1)
    assert np.mean(trace.output_tokens) == pytest.approx(211, abs=1)
    assert trace.rate_per_s == pytest.approx(5.53, abs=0.01)
