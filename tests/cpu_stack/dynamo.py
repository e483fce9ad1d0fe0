"""NVIDIA Dynamo without GPU, etcd or NATS: its frontend and router, and mock workers that sleep by a timing profile.

Workers find each other through files, requests go over TCP, events over ZeroMQ. ZeroMQ listens on every interface,
which Dynamo has no setting for; all else stays on loopback.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autoscaler.core.policy import Role
from tests.cpu_stack.processes import Process, free_port

MODEL = "Example/Tiny"
PREFILL_FIXED_MS, PREFILL_MS_PER_TOKEN = 20.0, 0.2
STEP_FIXED_MS, STEP_MS_PER_KV_TOKEN = 15.0, 0.0027
BLOCKS, BLOCK_TOKENS, MAX_SEQUENCES = 512, 64, 64
COMPONENTS = {Role.PREFILL: "prefill", Role.DECODE: "backend"}
"""What workers of a role call themselves in their metrics."""

_PLANES = ("--discovery-backend", "file", "--request-plane", "tcp", "--event-plane", "zmq")
_WORDS = 4_000


@dataclass(frozen=True, slots=True)
class Worker:
    """A mock worker and the port that tells its metrics and health."""

    role: Role
    process: Process
    port: int


@dataclass(slots=True)
class Dynamo:
    """Starts processes of one deployment.

    Attributes:
        python: Interpreter of the environment that has Dynamo.
        folder: For the model, the discovery and the logs.
        frontend_port: Where the OpenAI API and its metrics are.
    """

    python: str
    folder: Path
    frontend_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        _write_model(self.folder / "model")
        _write_profile(self.folder / "profile.npz")

    def start_frontend(self) -> Process:
        """Start the frontend; like any user's it tries a request again whose worker has died."""
        where = ("--http-host", "127.0.0.1", "--http-port", str(self.frontend_port))
        command = ("dynamo.frontend", *where, "--router-mode", "kv", "--migration-limit", "3", *_PLANES)
        return self._start("frontend", command)

    def start_worker(self, role: Role, name: str) -> Worker:
        """Start a worker."""
        port = free_port()
        # One prompt at a time: with more the mock holds finished prompts back while others wait.
        sequences = 1 if role is Role.PREFILL else MAX_SEQUENCES
        engine = (
            *("--disaggregation-mode", role.value, "--model-path", "model", "--model-name", MODEL),
            *("--planner-profile-data", "profile.npz", "--max-num-seqs", str(sequences), "--max-model-len", "32768"),
            *("--num-gpu-blocks-override", str(BLOCKS), "--block-size", str(BLOCK_TOKENS)),
            *("--kv-bytes-per-token", "262144", "--kv-transfer-bandwidth", "50"),
        )
        process = self._start(name, ("dynamo.mocker", *engine, *_PLANES), DYN_SYSTEM_PORT=str(port))
        return Worker(role, process, port)

    def _start(self, name: str, module: tuple[str, ...], **more: str) -> Process:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DYN_FILE_KV": str(self.folder / "discovery"),
            "DYN_LOG": "warn",
            "DYN_SDK_DISABLE_ANSI_LOGGING": "1",
            "DYN_SYSTEM_HOST": "127.0.0.1",
            "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS": '["generate"]',
            "DYN_TCP_RPC_HOST": "127.0.0.1",
            "DYN_TCP_RESPONSE_STREAM_HOST": "lo",
            "HF_HUB_OFFLINE": "1",
            **more,
        }
        return Process(name, (self.python, "-m", *module), self.folder, environment)


def _write_model(folder: Path) -> None:
    """A model that is nothing but a tokenizer of numbered words."""
    folder.mkdir(parents=True)
    vocabulary = {"<unk>": 0, "</s>": 1} | {f"w{index}": index for index in range(2, _WORDS)}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": _WORDS,
        "bos_token_id": 1,
        "eos_token_id": 1,
        "max_position_embeddings": 32_768,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 4,
    }
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "chat_template": template}
    for name, document in (("tokenizer", tokenizer), ("config", config), ("tokenizer_config", settings)):
        (folder / f"{name}.json").write_text(json.dumps(document))


def _write_profile(path: Path) -> None:
    """Times of one worker, straight lines, in the form that Dynamo's profiler writes."""
    prompt_tokens = np.array([1.0, 1_024.0, 8_192.0, 32_768.0])
    kv_tokens, context_tokens = np.array([0.0, 8_192.0, 65_536.0]), np.array([16.0, 1_024.0, 32_768.0])
    step_ms = STEP_FIXED_MS + STEP_MS_PER_KV_TOKEN * kv_tokens
    np.savez(
        path,
        prefill_isl=prompt_tokens,
        prefill_ttft_ms=PREFILL_FIXED_MS + PREFILL_MS_PER_TOKEN * prompt_tokens,
        decode_active_kv_tokens=kv_tokens,
        decode_context_length=context_tokens,
        decode_itl=np.repeat(step_ms[:, None], len(context_tokens), axis=1),
    )
