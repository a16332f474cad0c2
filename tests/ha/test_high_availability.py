"""Any machine of a cluster may die, loudly or without a word; people hardly notice, and no record is lost or doubled.

The tests are one story in this order, on one cluster under load, with the configurations of deploy/.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ha.cluster import VIRTUAL, cluster, wait_for
from tests.ha.network import possible
from tests.ha.versions import next_version
from tests.ha.watching import Scene, table
from webapp.migrations.services import head

NEEDED = ("ip", "haproxy", "keepalived", "nginx", "curl", "setpriv")
MISSING = [name for name in NEEDED if shutil.which(name) is None]
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(not possible(), reason="network namespaces need root and the kernel's permission"),
]
SIDE_BY_SIDE = "SELECT count(*) FROM run WHERE made_by = 1 AND id > (SELECT min(id) FROM run WHERE made_by = 2)"
RESULTS = Path(__file__).resolve().parents[2] / "build" / "ha.json"


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with tempfile.TemporaryDirectory(prefix="slha-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as nobody
        with cluster(folder) as (one, given):
            found = Scene(one, given)
            with found.busy():
                yield found
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps([{"what": what, **figures} for what, figures in found.rows], indent=1))
        sys.stderr.write(f"\n{table(found.rows)}\n")


def test_everybody_is_served(scene: Scene) -> None:
    """Before anything happens, no request fails and runs end well."""
    with scene.watched("nothing") as noticed:
        noticed.took = scene.until_runs_go_on()
    assert noticed.failed() == []


def test_the_processes_of_a_console_die(scene: Scene) -> None:
    """All processes of the first console are killed at once: no page and no read of the API fails."""
    with scene.watched("console killed") as noticed:
        scene.cluster["app1"].crash()
        time.sleep(3)
    assert noticed.failed("page", "read") == []
    scene.cluster.start("app1")
    scene.cluster.ready("app1")


def test_a_console_goes_without_a_word(scene: Scene) -> None:
    """The cable of the second console is pulled: requests on their way there are answered by the other."""
    with scene.watched("console's cable pulled") as noticed:
        scene.cluster["app2"].cut()
        time.sleep(6)
    assert noticed.failed("page", "read") == []
    scene.cluster["app2"].mend()
    scene.cluster.ready("app2")
    time.sleep(4)


def test_consoles_are_exchanged_one_after_the_other(scene: Scene) -> None:
    """A rolling upgrade stops and starts each console: no request of any kind fails."""
    with scene.watched("consoles exchanged in turn") as noticed:
        for name in ("app1", "app2"):
            scene.cluster.exchange(name)
    assert noticed.failed() == []


def test_workers_die(scene: Scene) -> None:
    """A whole group of workers with its scheduler is killed, then the other loses its cable; runs go on."""
    with scene.watched("workers killed") as noticed:
        scene.cluster["work1"].crash()
        noticed.took = scene.until_runs_go_on()
    assert noticed.failed() == []
    scene.cluster.start("work1")
    with scene.watched("workers' cable pulled") as noticed:
        scene.cluster["work2"].cut()
        noticed.took = scene.until_runs_go_on()
    assert noticed.failed() == []
    scene.cluster["work2"].mend()


def test_the_virtual_address_moves(scene: Scene) -> None:
    """Who holds the address is killed, loses its HAProxy alone, or is cut off: it moves, the table says how soon."""
    for what, how in (("killed", "kill"), ("loses HAProxy", "haproxy"), ("cable pulled", "cut")):
        holder = scene.cluster.holder()
        other = "lb2" if holder == "lb1" else "lb1"
        machine = scene.cluster[holder]
        with scene.watched(f"load balancer {what}") as noticed:
            if how == "kill":
                machine.power_off()
            elif how == "haproxy":
                machine.kill("haproxy")
            else:
                machine.cut()
            noticed.took = wait_for(lambda other=other: scene.cluster[other].has(VIRTUAL), "the address", 30)
        if how == "cut":
            machine.mend()
        else:
            if how == "haproxy":
                machine.power_off()
            scene.cluster.start(holder)
        wait_for(lambda: len([n for n in ("lb1", "lb2") if scene.cluster[n].has(VIRTUAL)]) == 1, "one holder", 30)
        time.sleep(4)


def test_redis_fails_over(scene: Scene) -> None:
    """The master of Redis is killed, the next one loses its cable: no request fails, and runs go on with another."""
    for what in ("killed", "cable pulled"):
        wait_for(lambda: scene.cluster.followers() == 2, "two replicas")
        old = scene.cluster.master()
        with scene.watched(f"Redis {what}") as noticed:
            since = time.time()
            scene.cluster[old].crash() if what == "killed" else scene.cluster[old].cut()
            wait_for(lambda since=since: scene.cluster.switched(since), "another master")
            noticed.took = scene.cluster.switched(since)[0] - since
            scene.until_runs_go_on()
            assert scene.cluster.master() not in ("", old)
        assert noticed.failed() == []
        scene.cluster.start(old) if what == "killed" else scene.cluster[old].mend()


def test_the_database_dies(scene: Scene) -> None:
    """PostgreSQL is killed and comes back: what was confirmed is there, and everything goes on by itself."""
    with scene.watched("PostgreSQL killed, back after 3 s", settle=8) as noticed:
        scene.cluster["pg"].crash()
        time.sleep(3)
        scene.cluster.start("pg")
        wait_for(lambda: scene.cluster.answers("pg"), "PostgreSQL")
        noticed.took = scene.until_runs_go_on()
    assert not [line for line in noticed.failed() if line["at"] > time.time() - 3]


def test_a_version_follows_another_without_a_stop(scene: Scene) -> None:
    """The database is upgraded while the old version works, then machine after machine: no request fails.

    Before the database is ready the new version refuses to start; the old one comes back afterwards, too.
    """
    cluster, code = scene.cluster, next_version(scene.cluster.folder / "next")
    cluster["work1"].code = code
    with pytest.raises(AssertionError, match="syncline init"):
        cluster.syncline("work1", "worker")
    with scene.watched("database upgraded, old version at work") as noticed:
        assert json.loads(cluster.syncline("work1", "init", "--json"))["revision"] != head()
        noticed.took = scene.until_runs_go_on()
        cluster["work2"].crash()
        cluster.start("work2")
        wait_for(lambda: scene.kept("SELECT count(*) FROM run WHERE made_by = 1"), "runs of the old version")
    assert noticed.failed() == []
    with scene.watched("machines upgraded in turn") as noticed:
        for name in ("app1", "work1", "app2", "work2"):
            cluster[name].code = code
            cluster.exchange(name)
            noticed.took = max(noticed.took, scene.until_runs_go_on())
            if name == "work1":
                wait_for(lambda: scene.kept(SIDE_BY_SIDE), "runs of both versions, side by side")
    assert noticed.failed() == []
    assert scene.kept("SELECT made_by FROM run ORDER BY id DESC LIMIT 1") == 2


def test_nothing_is_lost_or_doubled(scene: Scene) -> None:
    """Each confirmed note exists once, no note twice, and the target holds exactly the orders of the source."""
    scene.stop_orders()
    scene.until_runs_go_on()
    scene.until_runs_go_on()
    confirmed = {line["number"] for line in scene.lines() if line["kind"] == "write" and not line["error"]}
    found = [int(str(row[0])) for row in scene.cluster.sql("pg", "SELECT number FROM e_note", database="syncline")]
    assert confirmed - set(found) == set()
    assert len(found) == len(set(found))
    source = scene.cluster.sql("systems", "SELECT count(*), sum(id) FROM orders", database="crm")
    target = scene.cluster.sql("systems", "SELECT count(*), sum(no) FROM orders", database="erp")
    doubled = scene.cluster.sql("systems", "SELECT no FROM orders GROUP BY no HAVING count(*) > 1", database="erp")
    assert (target, doubled) == (source, [])
    sys.stderr.write(f"\n{len(confirmed)} notes confirmed, {source[0][0]} orders\n")
