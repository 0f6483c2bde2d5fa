"""When messages are planned: shortly before their slots, those of many slow lanes at one moment."""

from __future__ import annotations

from streams.dispatch.bucket import AHEAD_S
from streams.dispatch.company import APART_S
from streams.dispatch.jobs import Job
from streams.dispatch.planning import EARLY_PART
from streams.dispatch.scheduler_settings import LEAD_S

from .simulation import Simulation, job, lane, scheduler, table


def _moments_of_planning(rates: dict[str, float], until: float) -> dict[str, list[tuple[float, float]]]:
    """When the messages of lanes with deep backlogs are planned, and when they start then, by lane."""
    simulation = Simulation(scheduler(table(lane(name, rate) for name, rate in rates.items())))
    planned: dict[int, float] = {}
    plan = simulation.scheduler.plan

    def noted(now: float) -> list[Job]:
        jobs = plan(now)
        planned.update((id(each), now) for each in jobs)
        return jobs

    simulation.scheduler.plan = noted  # type: ignore[method-assign]
    for place, (name, rate) in enumerate(rates.items()):
        simulation.scheduler.lanes[name].pace.bucket.hand_over(paid_at=5.0 + place / len(rates) / rate, largest=1)
        for _ in range(int(rate * until)):
            simulation.arrive(0.0, job(lane=name))
    simulation.run(until)
    moments: dict[str, list[tuple[float, float]]] = {name: [] for name in rates}
    for start in simulation.starts:
        moments[start.job.order.lane].append((planned[id(start.job)], start.at))
    return moments


def test_messages_of_slow_lanes_are_planned_together_shortly_before_their_slots() -> None:
    moments = _moments_of_planning({f"lane{number}": 1.0 for number in range(60)}, until=15.0)
    every = [each for of_lane in moments.values() for each in of_lane]
    assert len(every) >= 60 * 9
    assert len({round(planned_at, 6) for planned_at, _ in every}) <= 10 / APART_S + 1
    ahead = [start - planned_at for planned_at, start in every]
    assert min(ahead) >= LEAD_S - AHEAD_S - 1e-6
    assert max(ahead) <= LEAD_S + 2 * APART_S + 1e-6


def test_on_a_fast_lane_hardly_more_is_planned_for_that() -> None:
    rate = 100.0
    [of_lane] = _moments_of_planning({"fast": rate}, until=7.0).values()
    ahead = [start - planned_at for planned_at, start in of_lane[20:]]
    assert max(ahead) <= LEAD_S + EARLY_PART / rate + 1e-6
