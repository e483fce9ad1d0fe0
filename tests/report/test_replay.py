from __future__ import annotations

import io

from autoscaler.report.replay import print_replay

ROW = {
    "policy": "chat[tight]",
    "attainment": 0.99,
    "ttft_p95_s": 0.4,
    "tpot_p95_s": 0.03,
    "gpu_hours": 12.0,
    "bound_gpu_hours": 10.0,
    "actions": 3,
    "reversals_per_hour": 0.0,
    "worst_5min": 0.97,
}


def test_names_of_files_and_remarks_are_printed_as_they_are() -> None:
    record = {"requests": 5, "trace": "day[prod]", "rows": [ROW], "remarks": ["[/red] said the server :bug:"]}
    out = io.StringIO()
    print_replay(record, out)

    assert "5 requests of day[prod]" in out.getvalue()
    assert "chat[tight]" in out.getvalue()
    assert "[/red] said the server :bug:" in out.getvalue()
