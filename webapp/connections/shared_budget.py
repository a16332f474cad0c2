"""What all workers together may ask of one connection's system; the count is kept in Redis.

One script does it all, by Redis's own clock: it gives turns so that calls follow each other at the connection's rate,
deals out the calls that may be under way, and passes on how long the system has asked to be left alone. Where the
clock is set back, everything is moved with it, so that nobody waits longer.

Without Redis each process goes on with its share: what the connection may do, divided by those who were seen last;
and only who was asked to wait waits.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from dataclasses import dataclass

import redis

from connectors.budgets import PATIENCE, pace_of
from connectors.errors import RateLimited
from rules.text import msg
from webapp.wake import connect

_SCRIPT = """
local gap, told, patience = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local me, want, most, busy = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local lease, window = tonumber(ARGV[8]), tonumber(ARGV[9])

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'seen', 'next', 'quiet')
local seen, next, quiet = tonumber(kept[1] or now), tonumber(kept[2] or 0), tonumber(kept[3] or 0)
if now < seen then
  next, quiet = next - (seen - now), quiet - (seen - now)
  redis.call('DEL', KEYS[2])
end
if told > 0 then quiet = math.max(quiet, now + told) end
local left = math.max(quiet - now, 0)
local turn = math.max(now, quiet)
if gap > 0 then turn = math.max(turn, next) end
if gap > 0 and left <= patience then next = turn + gap end
redis.call('HSET', KEYS[1], 'seen', string.format('%.0f', now), 'next', string.format('%.0f', next),
  'quiet', string.format('%.0f', quiet))
redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(next, quiet) - now) / 1000) + 60000)

local grant = 0
if want == 0 then
  redis.call('HDEL', KEYS[2], me)
elseif want > 0 then
  local who, others, free, spare, mine = {}, {}, most, 0, 0
  redis.call('HSET', KEYS[2], me, '0 0 0')
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    local wants, holds, ends = string.match(all[i + 1], '(%d+) (%d+) (%d+)')
    if all[i] == me then
      table.insert(who, me)
    elseif tonumber(ends) < now then
      redis.call('HDEL', KEYS[2], all[i])
    else
      table.insert(who, all[i])
      others[all[i]] = tonumber(wants)
      free = free - tonumber(holds)
    end
  end
  table.sort(who)
  local share, extra, shift = math.floor(most / #who), most % #who, math.floor(now / window)
  for i, name in ipairs(who) do
    local fair = share
    if (i + shift) % #who < extra then fair = fair + 1 end
    if name == me then mine = fair else spare = spare + math.max(fair - others[name], 0) end
  end
  grant = math.max(math.min(want, mine + spare, free), 0)
  local held = math.max(grant, busy)
  redis.call('HSET', KEYS[2], me, string.format('%d %d %.0f', want, held, now + lease))
  redis.call('PEXPIRE', KEYS[2], math.ceil(lease / 1000) + 1000)
end
return {turn - now, left, grant, redis.call('HLEN', KEYS[2])}
"""
_LEASE = 3.0
"""Seconds for which room is held without asking again."""
_WINDOW = 2.0
"""Seconds after which the room that cannot be divided goes on to the next."""
_FRESH = 0.5
"""Seconds for which an answer about room, or a wait that was asked for, is taken as it was."""
_AGAIN = 5.0
"""Seconds for which Redis is not asked after it did not answer."""
_MICRO = 1_000_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Told:
    wait: float
    quiet: float
    room: int
    workers: int


class _Line:
    """What this process knows of Redis at one address: whether it answers, said once each time it goes."""

    def __init__(self) -> None:
        self.down_until = 0.0
        self.gone = False

    def lost(self, error: Exception) -> None:
        """Note that Redis does not answer."""
        self.down_until = time.monotonic() + _AGAIN
        if not self.gone:
            self.gone = True
            log.warning("Redis does not count the calls of connections (%s); each process keeps to its share.", error)

    def found(self) -> None:
        """Note that it does."""
        self.gone = False


_lines: dict[str, _Line] = {}


class SharedBudget:
    """The budget of one opened connection; see `connectors.budgets.Budget`."""

    def __init__(self, url: str, connection: str) -> None:
        self._url = url
        self._connection = connection
        self._keys = [f"syncline:budget:{{{connection}}}:{part}" for part in ("pace", "room")]
        self._line = _lines.setdefault(url, _Line())
        self._me = uuid.uuid4().hex
        self._workers = 1
        self._quiet_until = 0.0
        self._asked = -math.inf
        self._room, self._most, self._dealt = 0, 0, -math.inf
        self._lock = threading.Lock()

    def turn(self, rate: int) -> float:
        """Return how many seconds the next call has to wait, and take its turn."""
        with self._lock:
            now = time.monotonic()
            if not rate and now - self._asked < _FRESH:
                return self._patient(max(self._quiet_until - now, 0.0))
            told = self._ask(rate=rate)
            if told is None:
                return pace_of(self._connection).turn(rate / self._workers)
            self._patient(told.quiet)
            return told.wait

    def asked_to_wait(self, seconds: float) -> None:
        """Tell all who work with the connection that its system wants to be left alone for so long."""
        with self._lock:
            self._ask(told=seconds)

    def room(self, most: int, busy: int) -> int:
        """Return how many calls may be under way here now, where all together may have `most`."""
        with self._lock:
            now = time.monotonic()
            if self._room and now - self._dealt < _FRESH and most == self._most:
                return self._room
            told = self._ask(want=most, most=most, busy=busy)
            if told is None:
                return max(most // self._workers, 1)
            self._room, self._most, self._dealt = told.room, most, now
            return told.room

    def close(self) -> None:
        """Give up the room."""
        with self._lock:
            if self._most:
                self._ask(want=0)
                self._room, self._most = 0, 0

    def _patient(self, quiet: float) -> float:
        if quiet > PATIENCE:
            raise RateLimited(
                msg("The system of the connection '{name}' has asked to be left alone for {seconds} more seconds.",
                    name=self._connection, seconds=round(quiet)),
                after=quiet,
            )  # fmt: skip
        return quiet

    def _ask(self, rate: int = 0, told: float = 0.0, want: int = -1, most: int = 0, busy: int = 0) -> _Told | None:
        """Ask Redis; None where it does not answer."""
        if self._line.down_until > time.monotonic():
            return None
        gap = round(_MICRO / rate) if rate else 0
        numbers: list[str | int] = [gap, round(told * _MICRO), round(PATIENCE * _MICRO), self._me, want, most, busy,
                   round(_LEASE * _MICRO), round(_WINDOW * _MICRO)]  # fmt: skip
        try:
            script = connect(self._url).register_script(_SCRIPT)
            wait, quiet, room, workers = script(keys=self._keys, args=numbers)
        except (redis.RedisError, OSError) as error:
            self._line.lost(error)
            return None
        self._line.found()
        self._asked = time.monotonic()
        self._workers = max(workers, 1)
        self._quiet_until = time.monotonic() + quiet / _MICRO
        return _Told(wait / _MICRO, quiet / _MICRO, room, workers)
