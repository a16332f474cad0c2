"""What Salesforce offers beside its REST resources: jobs of the Bulk API 2.0 and change events, as documented."""

from __future__ import annotations

import csv
import io
import time
from typing import Any, ClassVar

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

VERSION = "66.0"
BASE = f"/services/data/v{VERSION}"
RESULTS = ("successfulResults", "failedResults", "unprocessedrecords")
_INGEST = {"insert", "update", "upsert", "delete"}


class Jobs(Vendor):
    """The jobs; who has records says how they are asked for and written."""

    part: ClassVar[int] = 0
    """The largest part of a result, whatever is asked for; 0: as asked."""
    listed: ClassVar[int] = 2
    """So many jobs stand on a page of their list."""
    polls: ClassVar[int] = 1
    """So often a job is in progress."""
    fails: ClassVar[str] = ""
    """What a job says that fails; it writes one record before."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.jobs: dict[str, Row] = {}

    def asked_for(self, soql: str) -> tuple[list[str], list[Row]]:
        """Return the fields and the records that a query asks for."""
        raise NotImplementedError

    def written(self, name: str, operation: str, row: dict[str, str], external: str) -> tuple[str, bool]:
        """Write a record of a job; return its id, and whether it is new. Raises `Refused`."""
        raise NotImplementedError

    @route("POST", f"{BASE}/jobs/query")
    def ask(self, asked: Asked) -> Reply:
        given = asked.json()
        self.only(given, "operation", "query")
        assert given["operation"] == "query"
        if "ORDER BY" in given["query"]:
            raise self.wrong("this job would not be divided (PK chunking)")
        fields, rows = self.asked_for(given["query"])
        return self._made({**given, "fields": fields, "rows": rows, "state": "UploadComplete"})

    @route("POST", f"{BASE}/jobs/ingest")
    def ingest(self, asked: Asked) -> Reply:
        given = asked.json()
        self.only(given, "object", "operation", "contentType", "lineEnding", "externalIdFieldName")
        assert given["operation"] in _INGEST
        assert ("externalIdFieldName" in given) == (given["operation"] == "upsert")
        return self._made({**given, "state": "Open", "results": {}})

    @route("GET", f"{BASE}/jobs/ingest")
    def all_jobs(self, asked: Asked) -> Reply:
        self.only(asked.query, "jobType", "queryLocator", "isPkChunkingEnabled")
        assert asked.query["jobType"] == "V2Ingest"
        mine = [number for number, job in self.jobs.items() if "query" not in job]
        start = int(asked.query.get("queryLocator", 0))
        some, behind = mine[start : start + self.listed], start + self.listed
        over = behind >= len(mine)
        following = None if over else f"{BASE}/jobs/ingest?jobType=V2Ingest&queryLocator={behind}"
        return Reply({"done": over, "records": [self._told(n).body for n in some], "nextRecordsUrl": following})

    def _made(self, job: Row) -> Reply:
        number = f"750R{len(self.jobs):014d}"
        self.jobs[number] = {**job, "id": number, "left": self.polls}
        return self._told(number)

    def _told(self, number: str) -> Reply:
        hidden = {"rows", "fields", "results", "left", "content"}
        return Reply({n: v for n, v in self.jobs[number].items() if n not in hidden})

    @route("GET", f"{BASE}/jobs/{{kind}}/{{number}}")
    def look(self, asked: Asked, kind: str, number: str) -> Reply:
        self.only(asked.query)
        job = self.jobs[number]
        assert (kind == "query") == ("query" in job)
        if job["state"] in ("UploadComplete", "InProgress"):
            job["state"] = "InProgress" if job["left"] else "JobComplete"
            job["left"] -= 1
            if job["state"] == "JobComplete" and kind == "ingest":
                self._work(job)
        return self._told(number)

    @route("PUT", f"{BASE}/jobs/ingest/{{number}}/batches", kind="text/csv")
    def load(self, asked: Asked, number: str) -> Reply:
        job = self.jobs[number]
        if job["state"] != "Open" or "content" in job:
            raise self.wrong("Found multiple contents for job")
        job["content"] = asked.body.decode()
        return Reply(None, 201)

    @route("PATCH", f"{BASE}/jobs/ingest/{{number}}")
    def close_job(self, asked: Asked, number: str) -> Reply:
        (state,) = asked.json().values()
        job = self.jobs[number]
        assert job["state"] == "Open"
        assert state == "Aborted" or (state == "UploadComplete" and "content" in job)
        job["state"] = state
        return self._told(number)

    def go_on(self) -> None:
        """End all jobs that have begun, as they do also if nobody asks about them."""
        for job in self.jobs.values():
            if job["state"] in ("UploadComplete", "InProgress") and "query" not in job:
                job["state"] = "JobComplete"
                self._work(job)

    def _work(self, job: Row) -> None:
        found: dict[str, list[dict[str, str]]] = {name: [] for name in RESULTS}
        given = list(csv.DictReader(io.StringIO(job["content"], newline="")))
        for number, row in enumerate(given):
            if self.fails and number:
                found["unprocessedrecords"].append(row)
                continue
            try:
                key, new = self.written(job["object"], job["operation"], row, job.get("externalIdFieldName", ""))
            except Refused as refusal:
                (told,) = refusal.reply.body
                said = f"{told['errorCode']}:{told['message']}:--"
                found["failedResults"].append({"sf__Id": "", "sf__Error": said, **row})
            else:
                found["successfulResults"].append({"sf__Id": key, "sf__Created": str(new).lower(), **row})
        job["results"] = {name: rows[::-1] for name, rows in found.items()}  # in no order that could be relied on
        if self.fails:
            job |= {"state": "Failed", "errorMessage": self.fails}

    @route("GET", f"{BASE}/jobs/ingest/{{number}}/{{which}}/")
    def result(self, asked: Asked, number: str, which: str) -> Reply:
        rows = self.jobs[number]["results"][which]
        return Reply(_csv(list(rows[0]), rows) if rows else "", kind="text/csv; charset=UTF-8")

    @route("GET", f"{BASE}/jobs/query/{{number}}/results")
    def results(self, asked: Asked, number: str) -> Reply:
        self.only(asked.query, "locator", "maxRecords")
        job, start = self.jobs[number], int(asked.query.get("locator", 0))
        assert job["state"] == "JobComplete"
        behind = start + min(int(asked.query["maxRecords"]), self.part or 10**9)
        headers = {"Sforce-Locator": str(behind) if behind < len(job["rows"]) else "null"}
        return Reply(_csv(job["fields"], job["rows"][start:behind]), 200, headers, "text/csv; charset=UTF-8")


class Stream(Vendor):
    """The change events."""

    unselected: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.events: list[tuple[str, Row]] = []
        self.first = 1
        self.clients: dict[str, dict[str, int]] = {}

    def tell(self, entity: str, change: str, *ids: str, at: float | None = None) -> None:
        header = {
            "entityName": entity, "recordIds": list(ids), "changeType": change,
            "commitTimestamp": int((at or time.time()) * 1000), "changedFields": [],
        }  # fmt: skip
        self.events.append((f"/data/{entity}ChangeEvent", {"ChangeEventHeader": header}))

    def forget(self, name: str) -> None:
        self.tell(name, "UPDATE", "x")
        self.first = len(self.events) + 1

    @route("POST", f"/cometd/{VERSION}")
    def say(self, asked: Asked) -> Reply:
        (message,) = asked.json()
        channel = message["channel"]
        if channel == "/meta/handshake":
            assert message["version"] == "1.0"
            assert message["ext"] == {"replay": True}
            client = f"c{len(self.clients)}"
            self.clients[client] = {}
            told = {"channel": channel, "clientId": client, "successful": True, "version": "1.0",
                    "advice": {"interval": 0, "timeout": 110000, "reconnect": "retry"}}  # fmt: skip
            return Reply([told], headers={"Set-Cookie": f"BAYEUX_BROWSER={client}; Path=/; HttpOnly"})
        client = message["clientId"]
        if client not in self.clients or asked.headers.get("cookie") != f"BAYEUX_BROWSER={client}":
            return Reply([{"channel": channel, "successful": False, "error": "403::Unknown client",
                           "advice": {"reconnect": "handshake"}}])  # fmt: skip
        act = {"/meta/subscribe": self._subscribe, "/meta/connect": self._connect, "/meta/disconnect": self._leave}
        return Reply(act[channel](client, message))

    def _subscribe(self, client: str, message: Row) -> list[Row]:
        place = message["subscription"]
        told = {"channel": "/meta/subscribe", "clientId": client, "subscription": place}
        if place.removeprefix("/data/").removesuffix("ChangeEvent") in self.unselected:
            return [{**told, "successful": False, "error": f"404::Unknown channel: {place}"}]
        replay = message["ext"]["replay"][place]
        if replay >= 0 and not self.first - 1 <= replay <= len(self.events):
            said = f"400::The replayId {{{replay}}} you provided was invalid.  Please provide a valid ID, -2 to replay"
            return [{**told, "successful": False, "error": f"{said} all events, or -1 to replay only new events."}]
        self.clients[client][place] = {-1: len(self.events), -2: self.first - 1}.get(replay, replay)
        return [{**told, "successful": True}]

    def _connect(self, client: str, message: Row) -> list[Any]:
        assert message["connectionType"] == "long-polling"
        places, answer = self.clients[client], list[Row]()
        until = time.monotonic() + min(message["advice"]["timeout"] / 1000, 0.05)
        while not answer:
            for replay, (channel, payload) in enumerate(self.events, 1):
                if replay > places.get(channel, len(self.events)):
                    data = {"schema": "s", "payload": payload, "event": {"replayId": replay}}
                    answer.append({"channel": channel, "data": data})
                    places[channel] = replay
            if time.monotonic() >= until:
                break
        return [*answer, {"channel": "/meta/connect", "clientId": client, "successful": True}]

    def _leave(self, client: str, message: Row) -> list[Row]:
        del self.clients[client]
        return [{"channel": message["channel"], "successful": True}]


def _csv(fields: list[str], rows: list[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fields, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    plain = [{n: str(v).lower() if isinstance(v, bool) else v for n, v in row.items() if n in fields} for row in rows]
    writer.writerows(plain)
    return text.getvalue()
