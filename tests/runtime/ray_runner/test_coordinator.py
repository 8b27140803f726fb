"""The coordinator of a run: orders to workers, bounded attempts, and updates that are taken once. Without Ray."""

import asyncio

from runtime.ray_runner.pools.coordinator import FinishedShard, Heartbeat, RunCoordinator


def test_no_shard_begins_before_every_stage_has_a_worker() -> None:
    async def run() -> None:
        coordinator = RunCoordinator(["media", "rewrite"], {"media": 3, "rewrite": 3})
        await coordinator.worker_ready("media", "a")
        order = asyncio.ensure_future(coordinator.begin("media", 0))
        await asyncio.sleep(0)
        assert not order.done()
        await coordinator.worker_ready("rewrite", "b")
        assert await order == "go"
        assert (await coordinator.take_updates()).ready == {"media": 1, "rewrite": 1}

    asyncio.run(run())


def test_a_shard_is_given_up_after_the_deaths_that_its_stage_allows() -> None:
    async def run() -> None:
        coordinator = RunCoordinator(["media"], {"media": 2})
        await coordinator.worker_ready("media", "a")
        assert [await coordinator.begin("media", 7) for _ in range(4)] == ["go", "go", "go", "dead"]
        assert await coordinator.begin("media", 8) == "go"

    asyncio.run(run())


def test_after_a_stop_every_worker_passes_its_rows_on() -> None:
    async def run() -> None:
        coordinator = RunCoordinator(["media", "rewrite"], {"media": 2, "rewrite": 2})
        waiting = asyncio.ensure_future(coordinator.begin("media", 0))
        await asyncio.sleep(0)
        await coordinator.stop()
        assert await waiting == "stop"

    asyncio.run(run())


def test_starts_are_counted_until_the_worker_is_ready() -> None:
    async def run() -> None:
        coordinator = RunCoordinator(["media"], {"media": 2})
        assert [await coordinator.count_start("media", "a") for _ in range(2)] == [1, 2]
        assert await coordinator.count_start("media", "b") == 1
        await coordinator.worker_ready("media", "a")
        assert await coordinator.count_start("media", "a") == 1

    asyncio.run(run())


def test_updates_are_taken_once_and_only_the_latest_heartbeat_is_kept() -> None:
    async def run() -> None:
        coordinator = RunCoordinator(["media"], {"media": 2})
        await coordinator.finish(FinishedShard("media", 0, {"clips": 1}))
        await coordinator.heartbeat(Heartbeat("media", "a", 1, 0))
        await coordinator.heartbeat(Heartbeat("media", "a", 2, 0))
        updates = await coordinator.take_updates()
        assert [finished.shard for finished in updates.finished] == [0]
        assert [heartbeat.busy for heartbeat in updates.heartbeats] == [2]
        again = await coordinator.take_updates()
        assert (again.finished, again.heartbeats) == ((), ())

    asyncio.run(run())


# A process that takes the place of one that died


def test_a_restarted_coordinator_learns_from_heartbeats_which_workers_are_ready() -> None:
    async def run() -> None:
        coordinator = RunCoordinator(["media", "rewrite"], {"media": 2, "rewrite": 2})
        order = asyncio.ensure_future(coordinator.begin("media", 0))
        await coordinator.heartbeat(Heartbeat("media", "a", 1, 0))
        await coordinator.heartbeat(Heartbeat("llm", "engine", 1, 0))
        await asyncio.sleep(0)
        assert not order.done()
        await coordinator.heartbeat(Heartbeat("rewrite", "b", 1, 0))
        assert await order == "go"
        assert (await coordinator.take_updates()).ready == {"media": 1, "rewrite": 1}

    asyncio.run(run())


def test_a_restarted_coordinator_does_not_wait_for_the_workers_of_a_stage_that_has_finished() -> None:
    async def run() -> None:
        coordinator = RunCoordinator(["media", "rewrite"], {"media": 2, "rewrite": 2})
        order = asyncio.ensure_future(coordinator.begin("rewrite", 0))
        await coordinator.take_updates(all_were_ready=True)
        assert await order == "go"
        another = RunCoordinator(["media", "rewrite"], {"media": 2, "rewrite": 2})
        assert await another.begin("rewrite", 0, others_began=True) == "go"

    asyncio.run(run())
