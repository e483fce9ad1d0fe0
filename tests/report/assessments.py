"""A made-up assessment to render."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autoscaler.core.policy import Role
from autoscaler.report.assessment import Assessment, Curves, Ground, Played, Price, Risk, Used
from tests.report.html.views import OBJECTIVES

START_S = 1_700_006_400.0
WEEK_S = 7 * 86_400.0


def assessment(service: str = "chat", *, replayed: bool = True) -> Assessment:
    bins = 504
    at_s = START_S + 1200.0 * np.arange(bins, dtype=np.float64)
    wave = 1.2 - np.cos(at_s / 86_400 * 2 * np.pi)
    ttft_s = 0.5 + 0.6 * wave
    ttft_s[200:206] = 12.0
    unknown = slice(300, 320)
    used = np.where(wave > 0.8, 96.0, 88.0)
    used[unknown] = np.nan
    at_risk = (ttft_s > 2).astype(np.float64)
    at_risk[unknown] = np.nan
    curves = Curves(at_s, 1200.0, used, np.zeros(0), np.zeros(0), 12 * wave, ttft_s, 0.02 + 0.01 * wave, at_risk)
    measured = Assessment(
        service=service,
        objectives=OBJECTIVES,
        start_s=START_S,
        end_s=START_S + WEEK_S,
        price=Price(2.5, "EUR"),
        used=Used(15_800.0, 0.96, {Role.PREFILL: 10.0, Role.DECODE: 13.5}, {Role.PREFILL: 10, Role.DECODE: 14}),
        risk=Risk(2.0, 161.3, 2.0, 0.0),
        grounds=(Ground("span", 1.0, "7 days were looked at"), Ground("load", 0.96, "known for 96.0% of the time")),
        remarks=("3,141,592 requests were reconstructed from metrics.",),
        curves=curves,
    )
    if not replayed:
        return replace(measured, grounds=(*measured.grounds, Ground("engine", 0.0, "nothing is replayed")))
    policy_gpus = 4 * (np.ceil(4 * wave) + np.ceil(6 * wave))
    return replace(
        measured,
        needed_gpu_hours=8_900.0,
        peak_gpu_hours=14_100.0,
        played=(
            Played("recommended", 0.9961, 11_060.0, 212, 0.6, 0.91),
            Played("your policy", 0.9712, 12_400.0, 180, 3.5, 0.44),
        ),
        recommended="apiVersion: pd-autoscaler.io/v1alpha1\nkind: ScalingPolicy\nmetadata:\n  name: chat\n",
        grounds=(*measured.grounds, Ground("engine", 0.72, "prefill takes 1.20 times as long as modelled")),
        curves=replace(curves, needed_gpus=policy_gpus * 0.8, policy_gpus=policy_gpus),
    )
