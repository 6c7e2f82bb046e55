import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratchet.errors import InputError
from ratchet.generation.engine import EngineDied, Request, RequestQueue, SampledGroup, Sampling
from ratchet.generation.prompts import PromptConfig
from ratchet.policy import Policy
from samplers.config import ReplayEngineConfig
from samplers.serving.client import EngineClient, EngineProcess
from samplers.serving.messages import Add, Start
from tests.helpers.places import ROOT

SAMPLING = Sampling(temperature=1.0, top_p=1.0, max_tokens=64, seed=0)


def make_policy(iteration: int = -1) -> Policy:
    return Policy(fingerprint=f"policy{iteration}", model="none", iteration=iteration)


def record(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def make_rows(problems: int, attempts: int = 2, **more: Any) -> list[dict[str, Any]]:
    return [
        {"problem_id": f"p{p}", "attempt": a, "completion": f"c{p}.{a}", "num_tokens": 3, **more}
        for p in range(problems)
        for a in range(attempts)
    ]


def ask(name: str, problem: str, size: int) -> Request:
    return Request(name, name, problem, size)


def requests(count: int, size: int = 2) -> RequestQueue:
    return RequestQueue(ask(f"p{i}", f"problem {i}", size) for i in range(count))


def client_of(path: Path, tmp_path: Path, **more: Any) -> EngineClient:
    config = ReplayEngineConfig(path=str(path), **more.pop("config", {}))
    return EngineClient(config, PromptConfig(), tmp_path / "engine.log", **more)


def by_id(groups: Iterator[SampledGroup]) -> dict[str, SampledGroup]:
    return {group.problem_id: group for group in groups}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_recorded_completions_come_back_in_the_order_of_their_attempts(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(300)[::-1])
    with client_of(path, tmp_path, in_flight=16) as client:
        groups = by_id(client.generate(make_policy(), SAMPLING, requests(300)))
    assert len(groups) == 300
    assert [o.completion for o in groups["p7"].outputs] == ["c7.0", "c7.1"]
    assert groups["p7"].error is None


def test_what_was_not_recorded_is_an_error_and_what_was_is_kept(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(1))
    with client_of(path, tmp_path) as client:
        groups = by_id(client.generate(make_policy(), SAMPLING, requests(2, size=3)))
    assert [o.finish_reason for o in groups["p0"].outputs] == ["stop", "stop", "error"]
    assert groups["p0"].error == groups["p1"].error == "not_recorded"
    assert [o.completion for o in groups["p1"].outputs] == ["", "", ""]


def test_a_short_recording_can_start_over(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(1))
    with client_of(path, tmp_path, config={"when_short": "repeat"}) as client:
        groups = by_id(client.generate(make_policy(), SAMPLING, requests(1, size=3)))
    assert [o.completion for o in groups["p0"].outputs] == ["c0.0", "c0.1", "c0.0"]


def test_each_problem_answers_with_the_last_iteration_recorded_for_it(tmp_path: Path) -> None:
    base = make_rows(2, attempts=1, policy_iteration=-1)
    later = {"problem_id": "p0", "attempt": 0, "completion": "better", "policy_iteration": 1}
    path = record(tmp_path / "r.jsonl", [*base, later])
    seen = {}
    with client_of(path, tmp_path) as client:
        for iteration in (-1, 0, 1, 5):
            groups = client.generate(make_policy(iteration), SAMPLING, requests(2, size=1))
            found = by_id(groups)
            seen[iteration] = [found[p].outputs[0].completion for p in ("p0", "p1")]
    assert seen == {
        -1: ["c0.0", "c1.0"],
        0: ["c0.0", "c1.0"],
        1: ["better", "c1.0"],
        5: ["better", "c1.0"],
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"problem_id": "p0", "attempt": 0}\n', "without completion"),
        ("no json\n", "r.jsonl:1 is no JSON"),
        ("", "holds no rows"),
    ],
)
def test_a_broken_recording_is_the_users_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "r.jsonl").write_text(content)
    with (
        client_of(tmp_path / "r.jsonl", tmp_path) as client,
        pytest.raises(InputError, match=message),
    ):
        list(client.generate(make_policy(), SAMPLING, requests(1)))


def test_an_abandoned_generate_leaves_nothing_for_the_next(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(400))
    starts: list[int] = []
    with client_of(path, tmp_path, on_start=lambda: starts.append(1)) as client:
        first = client.generate(make_policy(), SAMPLING, requests(400))
        next(first)
        first.close()
        second = list(client.generate(make_policy(), SAMPLING, requests(3)))
    assert sorted(group.problem_id for group in second) == ["p0", "p1", "p2"]
    assert len(starts) == 1


def test_a_generate_that_was_overtaken_says_so(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(5))
    with client_of(path, tmp_path) as client:
        first = client.generate(make_policy(), SAMPLING, requests(5))
        next(first)
        assert len(list(client.generate(make_policy(), SAMPLING, requests(2)))) == 2
        with pytest.raises(RuntimeError, match="a later one has begun"):
            list(first)
        assert len(list(client.generate(make_policy(), SAMPLING, requests(2)))) == 2


def test_a_killed_engine_is_told_with_its_signal_and_started_again(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(200))
    starts: list[int] = []
    client = client_of(path, tmp_path, on_start=lambda: starts.append(1), in_flight=8)
    with client:
        stream = client.generate(make_policy(), SAMPLING, requests(200))
        seen = [next(stream) for _ in range(5)]
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(EngineDied, match="SIGKILL"):
            seen.extend(stream)
        assert len(seen) < 200
        assert len(list(client.generate(make_policy(), SAMPLING, requests(200)))) == 200
    assert len(starts) == 2


def test_an_injected_fault_kills_the_first_engine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_CRASH_AT", "engine_step:2")
    path = record(tmp_path / "r.jsonl", make_rows(200))
    with client_of(path, tmp_path, in_flight=8) as client:
        with pytest.raises(EngineDied, match="SIGKILL"):
            list(client.generate(make_policy(), SAMPLING, requests(200)))
        assert len(list(client.generate(make_policy(), SAMPLING, requests(200)))) == 200


def test_an_engine_that_does_nothing_is_killed(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(200))
    with client_of(path, tmp_path, config={"stall_timeout": 1.0}, in_flight=8) as client:
        stream = client.generate(make_policy(), SAMPLING, requests(200))
        next(stream)
        pid = client.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(EngineDied, match="did nothing for 1 s"):
            list(stream)
        assert not is_running(pid)


def test_an_engine_that_takes_nothing_off_its_socket_is_killed(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(1))
    config = ReplayEngineConfig(path=str(path), stall_timeout=1.0)
    start = Start(config, PromptConfig(), False)
    process = EngineProcess(start, tmp_path / "engine.log", first=False)
    os.kill(process.pid, signal.SIGSTOP)
    more_than_a_socket_holds = Add((ask("p", "?" * 10_000_000, 1),))
    with pytest.raises(EngineDied, match="did nothing for 1 s"):
        process.send(more_than_a_socket_holds)
    assert not is_running(process.pid)


def test_an_interrupt_waits_for_no_step_of_the_engine(tmp_path: Path) -> None:
    """It waited 20 s for an engine that was loading or in a long step."""
    path = record(tmp_path / "r.jsonl", make_rows(1))
    client = client_of(path, tmp_path)

    def interrupted() -> None:
        with client:
            list(client.generate(make_policy(), SAMPLING, requests(1)))
            assert client.pid
            os.kill(client.pid, signal.SIGSTOP)
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - begun < 15
    assert client.pid is None


def test_the_engine_ends_when_the_flow_is_killed(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(5))
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from ratchet.generation.engine import Request, RequestQueue, Sampling\n"
        "from ratchet.policy import Policy\n"
        "from ratchet.generation.prompts import PromptConfig\n"
        "from samplers.serving.client import EngineClient\n"
        "from samplers.config import ReplayEngineConfig\n"
        f"client = EngineClient(ReplayEngineConfig(path={str(path)!r}), PromptConfig(),"
        f" Path({str(tmp_path / 'engine.log')!r}))\n"
        "sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=8, seed=0)\n"
        "policy = Policy(fingerprint='p', model='none')\n"
        "asked = RequestQueue([Request('p0', 'p0', 'text', 1)])\n"
        "list(client.generate(policy, sampling, asked))\n"
        "if not os.fork(): time.sleep(60)\n"  # a helper that holds our end of the socket open
        "print(client.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    flow = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True
    )
    assert flow.stdout is not None
    try:
        engine = int(flow.stdout.readline())
        assert is_running(engine)
        flow.kill()
        deadline = time.monotonic() + 10
        while is_running(engine) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not is_running(engine)
    finally:
        os.killpg(flow.pid, signal.SIGKILL)
        flow.wait()


def test_a_request_that_comes_up_after_the_last_group_is_asked_too(tmp_path: Path) -> None:
    """As a strategy asks: what it wants next hangs on what came back."""
    path = record(tmp_path / "r.jsonl", make_rows(3))

    class OneAfterTheOther:
        def __init__(self) -> None:
            self.left = [ask(f"p{at}", "?", 1) for at in range(3)]
            self.may_ask = True

        def take(self) -> Request | None:
            if not (self.may_ask and self.left):
                return None
            self.may_ask = False
            return self.left.pop(0)

    source = OneAfterTheOther()
    seen = []
    with client_of(path, tmp_path) as client:
        for group in client.generate(make_policy(), SAMPLING, source):
            seen.append(group.request_id)
            source.may_ask = True
    assert seen == ["p0", "p1", "p2"]


def test_a_recording_cannot_go_on_from_a_beginning(tmp_path: Path) -> None:
    path = record(tmp_path / "r.jsonl", make_rows(1))
    beginning = RequestQueue([Request("a", "p0", "?", 1, prefix="First,")])
    with (
        client_of(path, tmp_path) as client,
        pytest.raises(InputError, match="a recording holds whole completions"),
    ):
        list(client.generate(make_policy(), SAMPLING, beginning))
