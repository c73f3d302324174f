"""Risk killed while it decides: the caller, repeating, gets the one decision there is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from risk.applications import BUREAU, Desk, outcome_of

from support import House, wait_until
from tael.provider.v1 import simulator_pb2


def test_a_decider_killed_while_it_waits_for_the_bureau_loses_and_doubles_nothing(
    house: House,
) -> None:
    desk = Desk(house.start("simulators", "risk"))
    desk.publish()
    who = desk.good()
    slow = simulator_pb2.Behaviour(delay={"seconds": 2, "nanos": 500_000_000})
    desk.behave(BUREAU, who, slow)
    house.stop_one("risk")
    house.spawn("risk")
    request = desk.request(who)

    def rows(table: str) -> list[str]:
        query = f"SELECT * FROM {table} WHERE customer_id = :id"
        return [row[0] for row in house.sql(query, "risk", id=who.customer_id)]

    with ThreadPoolExecutor(1) as pool:
        # The client repeats the call by itself while nobody answers.
        answer = pool.submit(desk.decisions.Decide, request, timeout=25)
        wait_until(lambda: desk.unused(who) == 0, what="the bureau to be asked")
        house.kill("risk")
        assert rows("decision") == []
        house.sql("UPDATE decision_claim SET leased_until = now()", "risk", write=True)
        house.spawn("risk")
        decision = answer.result().decision
    assert outcome_of(decision) == "APPROVED"
    assert rows("decision") == [decision.decision_id]
    assert len(rows("bureau_query")) == len(rows("bureau_report")) == 1
    assert desk.decisions.Decide(request).decision == decision
    assert desk.replay(decision).same
