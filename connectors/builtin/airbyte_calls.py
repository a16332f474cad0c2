"""Calls of a manifest's engine: signed, repeated as its error handlers say, with errors that say what to do."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
import msgspec

from connectors.builtin import airbyte_components as parts
from connectors.builtin.airbyte_paths import found_at
from connectors.builtin.airbyte_requests import Draft, Known
from connectors.builtin.airbyte_words import duration_value, holds, number_value, searched, text_value
from connectors.casting import short
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    Unavailable,
)
from connectors.http_client import client, shown
from connectors.json_records import decode
from connectors.spi import Context
from rules.text import msg

PATIENCE = 20.0
"""Seconds for which a call is worth waiting for, here; longer waits are the caller's business."""

MOST_RETRIES = 10
HIDDEN = "•••"
_EARLY = 30.0
"""Seconds before its end at which a token is not used any more."""


class ManifestCalls:
    """Makes the calls of one connection."""

    def __init__(self, config: Mapping[str, Any], secrets: Sequence[str], context: Context) -> None:
        self.config = config
        self._secrets = sorted((s for s in secrets if len(s) >= 4), key=len, reverse=True)
        self._http = client(context, headers={"Accept": "application/json", "User-Agent": "Syncline"})
        self._tokens: dict[str, tuple[str, float]] = {}

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def json(self, requester: parts.HttpRequester, draft: Draft, known: Known) -> tuple[Any, httpx.Response] | None:
        """Return the JSON value of an answer and the answer, None where the manifest says to ignore it."""
        response = self.response(requester, draft, known)
        if response is None:
            return None
        try:
            return (decode(response.content) if response.content.strip() else None), response
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Misconfigured(
                msg("{url} does not answer with JSON: {said}", url=shown(response.url), said=self._said(response)),
                msg("Check the address; perhaps it leads to a page for people."),
            ) from None

    def response(self, requester: parts.HttpRequester, draft: Draft, known: Known) -> httpx.Response | None:
        """Return the answer to a request, repeated as the requester's error handler says; None: ignore it."""
        handlers = _handlers(requester.error_handler)
        renewed = False
        attempt = 0
        while True:
            self._sign(requester.authenticator, draft, known)
            try:
                response = self._http.send(draft.request(self._http))
            except Unavailable:
                if attempt >= 3:
                    raise
                time.sleep(_pause(attempt))
                attempt += 1
                continue
            if response.status_code == 401 and not renewed and self._forgotten(requester.authenticator):
                renewed = True
                continue
            action, handler, words = self._meaning(handlers, response)
            if action == "SUCCESS":
                return response
            if action == "IGNORE":
                return None
            if action == "FAIL":
                raise self._error(response, words)
            self._wait(handler, response, attempt)
            attempt += 1

    def _meaning(
        self, handlers: Sequence[parts.DefaultErrorHandler], response: httpx.Response
    ) -> tuple[str, parts.DefaultErrorHandler, str]:
        known = {"config": self.config, "response": _value(response), "headers": dict(response.headers)}
        for handler in handlers:
            for found in handler.response_filters:
                if _fits(found, response, {**known, "parameters": found.parameters}):
                    words = text_value(found.error_message, {**known, "parameters": found.parameters})
                    return found.action, handler, words
        return _usual(response.status_code), handlers[0], ""

    def _wait(self, handler: parts.DefaultErrorHandler, response: httpx.Response, attempt: int) -> None:
        """Wait before the next attempt; raises where there is none, or where the wait is too long for here."""
        known = {"config": self.config, "parameters": handler.parameters}
        most = min(number_value(handler.max_retries, known) or 0, MOST_RETRIES)
        waits = [_backoff(strategy, response, attempt, known) for strategy in handler.backoff_strategies]
        after = next((wait for wait in (*waits, _after(response)) if wait is not None), _pause(attempt))
        if response.status_code == 429 and (attempt >= most or after > PATIENCE):
            raise RateLimited(
                msg("{url} asks to wait {seconds} seconds.", url=shown(response.url), seconds=round(after)),
                after=after,
            )
        if attempt >= most or after > PATIENCE:
            raise self._own(response)
        time.sleep(after)

    def _sign(self, found: parts.Authenticator, draft: Draft, known: Known) -> None:
        """Put into a request what says who we are."""
        auth = self._chosen(found)
        known = {**known, "config": self.config, "parameters": auth.parameters}
        if isinstance(auth, parts.ApiKeyAuthenticator):
            value = text_value(auth.api_token, known)
            if auth.inject_into is not None:
                draft.put(auth.inject_into, value, known)
            else:
                draft.headers[text_value(auth.header, known) or "Authorization"] = value
        elif isinstance(auth, parts.BearerAuthenticator):
            draft.headers["Authorization"] = f"Bearer {text_value(auth.api_token, known)}"
        elif isinstance(auth, parts.BasicHttpAuthenticator):
            pair = f"{text_value(auth.username, known)}:{text_value(auth.password, known)}"
            draft.headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        elif isinstance(auth, parts.OAuthAuthenticator):
            draft.headers["Authorization"] = f"Bearer {self._token(auth, known)}"
        elif isinstance(auth, parts.SessionTokenAuthenticator):
            token = self._token(auth, known)
            if isinstance(auth.request_authentication, parts.SessionApiKey):
                draft.put(auth.request_authentication.inject_into, token, known)
            else:
                draft.headers["Authorization"] = f"Bearer {token}"

    def _chosen(self, found: parts.Authenticator) -> parts.PlainAuthenticator:
        if not isinstance(found, parts.SelectiveAuthenticator):
            return found
        name = found_at(self.config, found.authenticator_selection_path)
        chosen = found.authenticators.get(str(name))
        if chosen is None:
            raise Misconfigured(
                msg("The configuration chooses no authentication at '{path}'. Known: {known}.",
                    path=".".join(found.authenticator_selection_path), known=", ".join(found.authenticators)),
                msg("Enter one of them in the configuration."),
            )  # fmt: skip
        return chosen

    def _forgotten(self, found: parts.Authenticator) -> bool:
        """Forget a token that is not taken any more; tell whether there was one."""
        return self._tokens.pop(_name(self._chosen(found)), None) is not None

    def _token(self, auth: parts.OAuthAuthenticator | parts.SessionTokenAuthenticator, known: Known) -> str:
        name = _name(auth)
        token, until = self._tokens.get(name, ("", 0.0))
        if not token or time.monotonic() > until - _EARLY:
            token, seconds = self._asked(auth, known)
            self._tokens[name] = token, time.monotonic() + seconds
            self._secrets.append(token)
        return token

    def _asked(
        self, auth: parts.OAuthAuthenticator | parts.SessionTokenAuthenticator, known: Known
    ) -> tuple[str, float]:
        """Return a new token and the seconds it lasts."""
        if isinstance(auth, parts.SessionTokenAuthenticator):
            requester = auth.login_requester
            answer = self.json(requester, Draft.of(requester, known), known)
            token = found_at(answer[0] if answer else None, auth.session_token_path)
            seconds = duration_value(auth.expiration_duration, known).total_seconds() or 3600.0
            where = ".".join(auth.session_token_path)
        else:
            requester = parts.HttpRequester(url=text_value(auth.token_refresh_endpoint, known), http_method="POST")
            draft = Draft.of(requester, {**known, "parameters": {}})
            draft.body_data = self._grant(auth, known)
            draft.headers |= {n: text_value(v, known) for n, v in auth.refresh_request_headers.items()}
            answer = self.json(requester, draft, known)
            where = text_value(auth.access_token_name, known)
            token = found_at(answer[0] if answer else None, [where])
            seconds = _seconds(found_at(answer[0] if answer else None, [auth.expires_in_name]))
        if not isinstance(token, str) or not token:
            raise AuthFailed(
                msg("The answer to the login has no token at '{path}'.", path=where),
                msg("Check the credentials in the configuration, and the path in the manifest."),
            )
        return token, seconds

    def _grant(self, auth: parts.OAuthAuthenticator, known: Known) -> dict[str, str]:
        given = {
            auth.grant_type_name: auth.grant_type,
            auth.client_id_name: auth.client_id,
            auth.client_secret_name: auth.client_secret,
            auth.refresh_token_name: auth.refresh_token if auth.grant_type == "refresh_token" else "",
            "scope": " ".join(auth.scopes),
            **auth.refresh_request_body,
        }
        texts = {text_value(name, known): text_value(value, known) for name, value in given.items()}
        return {name: value for name, value in texts.items() if value}

    def hide(self, text: str) -> str:
        """Return a text without our secrets, should the service have repeated one."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def _said(self, response: httpx.Response) -> str:
        plain = " ".join(re.sub(r"<[^>]*>", " ", response.text).split())
        return short(self.hide(plain) or response.reason_phrase or "-", 200)

    def _own(self, response: httpx.Response) -> Unavailable:
        return Unavailable(
            msg("{url} reports an error of its own ({status}): {said}",
                url=shown(response.url), status=response.status_code, said=self._said(response)),
            msg("Try again later."),
        )  # fmt: skip

    def _error(self, response: httpx.Response, words: str) -> ConnectorError:
        url, status, said = shown(response.url), response.status_code, self.hide(words) or self._said(response)
        if status in (401, 403):
            return AuthFailed(
                msg("{url} refuses our credentials ({status}): {said}", url=url, status=status, said=said),
                msg("Check the secrets of the connection, and what they may do."),
            )
        if status in (404, 410):
            return ObjectMissing(
                msg("{url} does not exist ({status}): {said}", url=url, status=status, said=said),
                msg("Check the address and the path in the manifest."),
            )
        return Fatal(
            msg("{url} refuses the request ({status}): {said}", url=url, status=status, said=said),
            msg("Check the path and the parameters in the manifest."),
        )


def _handlers(found: parts.DefaultErrorHandler | parts.CompositeErrorHandler) -> list[parts.DefaultErrorHandler]:
    if isinstance(found, parts.CompositeErrorHandler):
        return list(found.error_handlers) or [parts.DefaultErrorHandler()]
    return [found]


def _fits(found: parts.HttpResponseFilter, response: httpx.Response, known: Known) -> bool:
    if response.status_code in found.http_codes:
        return True
    if found.predicate and holds(found.predicate, known):
        return True
    return bool(found.error_message_contains) and found.error_message_contains in response.text


def _usual(status: int) -> str:
    if 200 <= status < 300:
        return "SUCCESS"
    return "RETRY" if status in (408, 429) or status >= 500 else "FAIL"


def _backoff(strategy: parts.Backoff, response: httpx.Response, attempt: int, known: Known) -> float | None:
    if isinstance(strategy, parts.ConstantBackoffStrategy):
        return number_value(strategy.backoff_time_in_seconds, known)
    if isinstance(strategy, parts.ExponentialBackoffStrategy):
        return (number_value(strategy.factor, known) or 1.0) * float(2**attempt)
    text = response.headers.get(text_value(strategy.header, known), "")
    if strategy.regex:
        text = searched(text, strategy.regex)
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        return None
    if isinstance(strategy, parts.WaitTimeFromHeader):
        return float(text)
    return max(float(text) - time.time(), number_value(strategy.min_wait, known) or 0.0)


def _after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else None


def _pause(attempt: int) -> float:
    return float(0.25 * 2**attempt)


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 3600.0


def _value(response: httpx.Response) -> Any:
    try:
        return decode(response.content)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}


def _name(auth: parts.PlainAuthenticator) -> str:
    return repr(auth)
