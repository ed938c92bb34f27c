"""The queue in front of the workers: bounded, fair between tenants, mindful of keys; and workers that are lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptml_server.base.errors import (
    CircuitFailure,
    EvaluationTooSlow,
    ServerError,
    TooBusy,
    WorkerCrashed,
    WorkerLost,
)
from cryptml_server.base.models import Circuit
from cryptml_server.workers.loads import CircuitLoads
from cryptml_server.workers.pool import WorkerPool
from cryptml_server.workers.protocol import EvaluationRequest, EvaluationResult
from cryptml_server.workers.quarantine import Quarantine
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.service.answered import answered

CIRCUIT = Circuit("tiny", 0, (0, 1), Path(), "0" * 64, "1" * 64, (1, 2), (1, 2))


class FakeSupervisor:
    """Evaluates nothing, in an order that the test sees; one request at a time, or it fails."""

    def __init__(self, number: int, done: list[tuple[int, str]], act: Callable[[bytes], object] | None = None) -> None:
        self.number = number
        self.done = done
        self.act = act
        self.lock = threading.Lock()
        self.alive = True

    def start(self, circuits: Any) -> None:
        pass

    @property
    def answered(self) -> float:
        return time.monotonic()

    @property
    def loads(self) -> CircuitLoads:
        return CircuitLoads()

    def ping(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def interrupt(self) -> None:
        self.done.append((self.number, "interrupted"))

    def revive(self) -> None:
        self.alive = True
        self.done.append((self.number, "revived"))

    def forget(self, name: str) -> None:
        self.done.append((self.number, f"forgot {name}"))

    def check_keys(self, path: Path, name: str) -> None:
        self.done.append((self.number, name))

    def evaluate(self, circuit: Circuit, keys: Path, name: str, ciphertext: bytes) -> EvaluationResult:
        assert self.lock.acquire(blocking=False), "a worker got two requests at once"
        try:
            if self.act:
                self.act(ciphertext)
            self.done.append((self.number, name))
            return EvaluationResult(ciphertext, 1.0)
        finally:
            self.lock.release()


def pool_of(*supervisors: FakeSupervisor, waiting: int = 1000, cached_keys: int = 2, **other: Any) -> WorkerPool:
    return WorkerPool(supervisors, cached_keys=cached_keys, waiting=waiting, **other)  # type: ignore[arg-type]


async def ask(pool: WorkerPool, tenant: str, number: int = 0, keys: str = "keys") -> EvaluationResult:
    return await pool.evaluate(tenant, EvaluationRequest(CIRCUIT, Path(), f"{tenant}/{keys}", str(number).encode()))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.lists(st.sampled_from("abcd"), min_size=1, max_size=40))
def test_everybody_is_answered_in_turn_and_in_order(workers: int, tenants: list[str]) -> None:
    order: list[str] = []
    supervisors = [FakeSupervisor(number, [], lambda body: order.append(body.decode())) for number in range(workers)]

    async def run() -> list[EvaluationResult]:
        pool = pool_of(*supervisors)
        return await asyncio.gather(*(ask(pool, tenant, number) for number, tenant in enumerate(tenants)))

    answers = asyncio.run(run())
    assert [answer.ciphertext for answer in answers] == [str(number).encode() for number in range(len(tenants))]
    if workers == 1:
        for tenant in set(tenants):
            own = [number for number, name in enumerate(tenants) if name == tenant]
            assert [int(each) for each in order if int(each) in own] == own, "within a tenant, first come first served"


def test_one_request_beside_a_hundred_waits_for_two_at_most() -> None:
    order: list[str] = []
    first, release = threading.Event(), threading.Event()

    def hold(body: bytes) -> None:
        order.append(body.decode())
        first.set()
        release.wait(10)

    async def run() -> None:
        pool = pool_of(FakeSupervisor(0, [], hold))
        many = [asyncio.ensure_future(ask(pool, "busy", number)) for number in range(100)]
        await asyncio.to_thread(first.wait, 10)
        one = asyncio.ensure_future(ask(pool, "calm", 1000))
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(one, *many)

    asyncio.run(run())
    assert order.index("1000") <= 2


def test_a_full_queue_says_when_to_come_back() -> None:
    release = threading.Event()
    supervisor = FakeSupervisor(0, [], lambda _: release.wait(10))

    async def run() -> ServerError:
        pool = pool_of(supervisor, waiting=2)
        waiting = [asyncio.ensure_future(ask(pool, "a", number)) for number in range(3)]
        await asyncio.sleep(0.05)
        assert pool.waiting == 2
        with pytest.raises(ServerError) as refused:
            await ask(pool, "a")
        release.set()
        await asyncio.gather(*waiting)
        assert pool.waiting == 0
        await ask(pool, "b")
        return refused.value

    refused = asyncio.run(run())
    assert answered(refused) == (503, "Too busy")
    assert refused.retry_after is not None
    assert refused.retry_after >= 10


def test_the_worker_that_has_the_keys_is_preferred() -> None:
    done: list[tuple[int, str]] = []

    async def run() -> None:
        pool = pool_of(FakeSupervisor(0, done), FakeSupervisor(1, done))
        await asyncio.gather(ask(pool, "a"), ask(pool, "b"))
        for _ in range(3):
            await ask(pool, "b")
            await ask(pool, "a")
        for keys in ("1", "2", "3"):  # the worker forgets what it used longest ago, and the pool with it
            await ask(pool, "a", keys=keys)

    asyncio.run(run())
    where = {name: {number for number, each in done if each == name} for name in ("a/keys", "b/keys")}
    assert len(where["a/keys"]) == len(where["b/keys"]) == 1
    assert where["a/keys"] != where["b/keys"]


def test_a_dead_worker_is_asked_only_where_no_other_is_left() -> None:
    done: list[tuple[int, str]] = []
    first, release = threading.Event(), threading.Event()

    def hold(_: bytes) -> None:
        first.set()
        release.wait(10)

    alive, dead = FakeSupervisor(0, done, hold), FakeSupervisor(1, done)
    dead.alive = False

    async def run() -> None:
        pool = pool_of(alive, dead, waiting=1)
        asking = [asyncio.ensure_future(ask(pool, "a", number)) for number in range(2)]
        await asyncio.to_thread(first.wait, 10)
        await asyncio.sleep(0.05)
        assert pool.waiting == 1
        with pytest.raises(ServerError, match="wait for 2 workers"):
            await ask(pool, "a")
        release.set()
        await asyncio.gather(*asking)
        assert {number for number, _ in done} == {0}
        alive.alive = False
        await asyncio.gather(ask(pool, "a"), ask(pool, "b"))
        assert {number for number, _ in done} == {0, 1}

    asyncio.run(run())


def test_a_request_that_is_given_up_leaves_no_place_taken() -> None:
    release = threading.Event()

    async def run() -> None:
        pool = pool_of(FakeSupervisor(0, [], lambda _: release.wait(10)))
        held = asyncio.ensure_future(ask(pool, "a"))
        await asyncio.sleep(0.05)
        given_up = [asyncio.ensure_future(ask(pool, "b", number)) for number in range(5)]
        await asyncio.sleep(0.05)
        for each in given_up:
            each.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        assert pool.waiting == 0
        release.set()
        await held
        await asyncio.wait_for(ask(pool, "b"), 5)

    asyncio.run(run())


def test_a_lost_worker_costs_a_second_attempt_and_no_third() -> None:
    attempts: list[bytes] = []

    def lose(body: bytes) -> None:
        attempts.append(body)
        if body == b"13" or len(attempts) == 1:
            raise WorkerLost("for a test")

    async def run() -> None:
        pool = pool_of(FakeSupervisor(0, [], lose))
        assert (await ask(pool, "a", 1)).ciphertext == b"1"
        assert attempts == [b"1", b"1"]
        with pytest.raises(ServerError, match="for a test"):
            await ask(pool, "a", 13)
        assert attempts.count(b"13") == 2
        with pytest.raises(ServerError, match="workers ended during this very request before") as refused:
            await ask(pool, "a", 13)
        assert answered(refused.value)[0] == 422
        assert attempts.count(b"13") == 2, "what workers die of is not tried again"
        assert (await ask(pool, "b", 13 + 1)).ciphertext == b"14"

    asyncio.run(run())


def test_a_greedy_tenant_does_not_keep_others_out_of_the_queue() -> None:
    release = threading.Event()

    async def run() -> tuple[list[object], object]:
        pool = pool_of(FakeSupervisor(0, [], lambda _: release.wait(10)), waiting=4)
        greedy = [asyncio.ensure_future(ask(pool, "greedy", number)) for number in range(5)]
        await asyncio.sleep(0.05)
        calm = asyncio.ensure_future(ask(pool, "calm", 100))
        await asyncio.sleep(0.05)
        release.set()
        return await asyncio.gather(*greedy, return_exceptions=True), await calm

    greedy, calm = asyncio.run(run())
    assert isinstance(calm, EvaluationResult)
    assert [isinstance(each, ServerError) for each in greedy] == [False, False, False, False, True], (
        "its latest gives way"
    )
    assert isinstance(greedy[-1], TooBusy)


def test_a_request_given_up_as_a_worker_becomes_free_costs_no_worker() -> None:
    """The worker's return and the cancellation of who waits for it fall into one turn of the event loop."""

    async def run() -> None:
        for _ in range(50):
            pool = pool_of(FakeSupervisor(0, []))
            seat = await pool._take("a", "keys", patient=False)
            waiting = asyncio.ensure_future(pool._take("b", "keys", patient=False))
            await asyncio.sleep(0)
            waiting.cancel()
            pool._queue.end("a")
            pool._free.append(seat)
            pool._hand_out()
            await asyncio.gather(waiting, return_exceptions=True)
            assert pool._free == [seat]
            assert pool.waiting == 0
            await asyncio.wait_for(ask(pool, "c"), 5)

    asyncio.run(run())


def test_dead_workers_come_back_and_forget_deleted_keys_by_themselves() -> None:
    done: list[tuple[int, str]] = []
    supervisors = FakeSupervisor(0, done), FakeSupervisor(1, done)

    async def run() -> None:
        pool = pool_of(*supervisors, watch_seconds=0.01)
        watching = asyncio.ensure_future(pool.watch())
        await ask(pool, "a")
        for each in supervisors:
            each.alive = False
        assert not pool.alive
        await asyncio.sleep(0.2)
        assert pool.alive
        await ask(pool, "b")
        pool.forget(["b/keys", "nobody/keys"])
        await asyncio.sleep(0.2)
        await asyncio.gather(ask(pool, "c"), ask(pool, "d"))
        watching.cancel()

    asyncio.run(run())
    assert sorted(what for _, what in done if what == "revived") == ["revived"] * 2
    assert [what for _, what in done if what.startswith("forgot")] == ["forgot b/keys"]


def test_a_worker_that_was_ended_for_its_time_is_lost_too() -> None:
    def stall(body: bytes) -> None:
        if body != b"7":
            raise EvaluationTooSlow("for a test")

    async def run() -> ServerError:
        pool = pool_of(FakeSupervisor(0, [], stall))
        for number in range(100, 110):
            with pytest.raises(ServerError, match="for a test"):
                await ask(pool, "hostile", number)
        with pytest.raises(ServerError) as refused:
            await ask(pool, "hostile", 7)
        assert (await ask(pool, "calm", 7)).ciphertext == b"7"
        return refused.value

    refused = asyncio.run(run())
    assert answered(refused) == (429, "Too many lost workers")


def test_a_tenant_that_costs_worker_after_worker_has_to_wait() -> None:
    def lose(body: bytes) -> None:
        if body != b"7":
            raise WorkerCrashed("for a test")

    async def run() -> ServerError:
        quarantine = Quarantine()
        pool = pool_of(FakeSupervisor(0, [], lose), quarantine=quarantine)
        for number in range(100, 105):
            with pytest.raises(WorkerLost):
                await ask(pool, "hostile", number)
        with pytest.raises(ServerError) as refused:
            await ask(pool, "hostile", 7)
        assert (await ask(pool, "calm", 7)).ciphertext == b"7"
        quarantine.loss_seconds = 0.0
        assert (await ask(pool, "hostile", 7)).ciphertext == b"7"
        return refused.value

    refused = asyncio.run(run())
    assert answered(refused) == (429, "Too many lost workers")


def test_a_tenant_that_gives_up_evaluation_after_evaluation_has_to_wait() -> None:
    ended = threading.Event()

    class Endable(FakeSupervisor):
        def interrupt(self) -> None:
            super().interrupt()
            ended.set()

    def stay(body: bytes) -> None:
        if body != b"7":
            ended.wait(10)
            ended.clear()
            raise WorkerLost("ended")

    async def run() -> ServerError:
        pool = pool_of(Endable(0, [], stay), quarantine=Quarantine(most_stopped=3), nearly_seconds=0.0)
        for number in range(100, 103):
            asking = asyncio.ensure_future(ask(pool, "restless", number))
            await asyncio.sleep(0.05)
            asking.cancel()
            await asyncio.wait([asking])
        with pytest.raises(ServerError) as refused:
            await ask(pool, "restless", 7)
        assert (await ask(pool, "calm", 7)).ciphertext == b"7"
        return refused.value

    refused = asyncio.run(run())
    assert answered(refused) == (429, "Too many stopped evaluations")
    assert (refused.retry_after or 0) > 500


def test_a_busy_worker_forgets_before_its_next_request_and_after_a_failure_too() -> None:
    done: list[tuple[int, str]] = []

    def fail(body: bytes) -> None:
        if body == b"1":
            raise CircuitFailure("for a test")

    async def run() -> None:
        pool = pool_of(FakeSupervisor(0, done, fail))
        watching = asyncio.ensure_future(pool.watch())
        await ask(pool, "a")
        with pytest.raises(ServerError, match="for a test"):
            await ask(pool, "b", 1)  # the worker lives on, and what it has in memory
        asking = [asyncio.ensure_future(ask(pool, "c", number)) for number in range(3, 6)]
        await asyncio.sleep(0)
        pool.forget(["a/keys"])
        await asyncio.gather(*asking)
        assert "a/keys" not in pool.remembered
        watching.cancel()

    asyncio.run(run())
    told = [what for _, what in done]
    assert told.index("forgot a/keys") < len(told) - 1, "other requests came behind it"


def test_keys_that_went_while_a_request_waited_are_asked_for_again(tmp_path: Path) -> None:
    done: list[tuple[int, str]] = []

    async def run() -> None:
        pool = pool_of(FakeSupervisor(0, done))
        with pytest.raises(ServerError, match="not at hand any more") as refused:
            await pool.evaluate("a", EvaluationRequest(CIRCUIT, tmp_path / "gone", "a/keys", b""))
        assert (answered(refused.value)[0], refused.value.retry_after) == (503, 1)
        await ask(pool, "a")

    asyncio.run(run())
    assert done == [(0, "a/keys")]
