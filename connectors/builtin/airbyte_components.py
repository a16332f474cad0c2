"""The components of a declarative manifest that our engine knows; what is not here is refused with its path.

The names and members are those of Airbyte's format. Members that only matter to Airbyte's own platform are accepted and
have no effect; all others have to be known.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Component(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type", tag=True):
    """A part of the manifest."""

    parameters: dict[str, Any] = msgspec.field(default_factory=dict, name="$parameters")
    description: Any = None
    name: Any = None


class NoAuth(Component, frozen=True):
    """Nobody asks who we are."""


class RequestOption(Component, frozen=True):
    """Where a value goes in a request."""

    inject_into: Literal["request_parameter", "header", "body_data", "body_json"]
    field_name: str = ""
    field_path: list[str] = msgspec.field(default_factory=list)


class RequestPath(Component, frozen=True):
    """The value is the address of the next page."""


class ApiKeyAuthenticator(Component, frozen=True):
    """A key in a header, or where `inject_into` says."""

    api_token: str = ""
    header: str = ""
    inject_into: RequestOption | None = None


class BearerAuthenticator(Component, frozen=True):
    """A token in the Authorization header."""

    api_token: str


class BasicHttpAuthenticator(Component, frozen=True):
    """User and password."""

    username: str
    password: str = ""


class OAuthAuthenticator(Component, frozen=True):
    """A token that is asked for with a refresh token or as a client, and asked for again when it is over."""

    token_refresh_endpoint: str
    client_id: str = ""
    client_secret: str = ""
    client_id_name: str = "client_id"
    client_secret_name: str = "client_secret"  # noqa: S105 - the name of a parameter
    refresh_token: str = ""
    refresh_token_name: str = "refresh_token"  # noqa: S105 - the name of a parameter
    grant_type: str = "refresh_token"
    grant_type_name: str = "grant_type"
    access_token_name: str = "access_token"  # noqa: S105 - the name of a member
    expires_in_name: str = "expires_in"
    scopes: list[str] = msgspec.field(default_factory=list)
    refresh_request_body: dict[str, Any] = msgspec.field(default_factory=dict)
    refresh_request_headers: dict[str, Any] = msgspec.field(default_factory=dict)
    token_expiry_date: Any = None
    token_expiry_date_format: Any = None


class SessionBearer(Component, frozen=True, tag="Bearer"):
    """The session's token goes into the Authorization header."""


class SessionApiKey(Component, frozen=True, tag="ApiKey"):
    """The session's token goes where `inject_into` says."""

    inject_into: RequestOption


class SessionTokenAuthenticator(Component, frozen=True):
    """A login whose answer has the token."""

    login_requester: HttpRequester
    session_token_path: list[str]
    request_authentication: SessionBearer | SessionApiKey
    expiration_duration: str = ""
    decoder: Any = None


class SelectiveAuthenticator(Component, frozen=True):
    """One of several, by a value of the configuration."""

    authenticator_selection_path: list[str]
    authenticators: dict[str, PlainAuthenticator]


PlainAuthenticator = (
    NoAuth | ApiKeyAuthenticator | BearerAuthenticator | BasicHttpAuthenticator | OAuthAuthenticator
    | SessionTokenAuthenticator
)  # fmt: skip
Authenticator = PlainAuthenticator | SelectiveAuthenticator


class ConstantBackoffStrategy(Component, frozen=True):
    """Wait always as long."""

    backoff_time_in_seconds: float | str


class ExponentialBackoffStrategy(Component, frozen=True):
    """Wait twice as long each time."""

    factor: float | str = 5


class WaitTimeFromHeader(Component, frozen=True):
    """Wait as many seconds as a header says."""

    header: str
    regex: str = ""
    max_waiting_time_in_seconds: float | None = None


class WaitUntilTimeFromHeader(Component, frozen=True):
    """Wait until the Unix time that a header says."""

    header: str
    min_wait: float | str = 0
    regex: str = ""


Backoff = ConstantBackoffStrategy | ExponentialBackoffStrategy | WaitTimeFromHeader | WaitUntilTimeFromHeader


class HttpResponseFilter(Component, frozen=True):
    """What to do about an answer: the first filter that fits decides."""

    action: Literal["SUCCESS", "FAIL", "RETRY", "IGNORE", "RATE_LIMITED"] = "FAIL"
    http_codes: set[int] = msgspec.field(default_factory=set)
    error_message_contains: str = ""
    predicate: str = ""
    error_message: str = ""
    failure_type: Any = None


class DefaultErrorHandler(Component, frozen=True):
    """What to do about answers that are no success, and how long to wait."""

    max_retries: int | str = 5
    backoff_strategies: list[Backoff] = msgspec.field(default_factory=list)
    response_filters: list[HttpResponseFilter] = msgspec.field(default_factory=list)


class CompositeErrorHandler(Component, frozen=True):
    """Several handlers, asked in their order."""

    error_handlers: list[DefaultErrorHandler]


Values = dict[str, Any] | str


class HttpRequester(Component, frozen=True):
    """How a call is made."""

    url_base: str = ""
    url: str = ""
    path: str = ""
    http_method: Literal["GET", "POST", "get", "post"] = "GET"
    request_parameters: Values = msgspec.field(default_factory=dict)
    request_headers: Values = msgspec.field(default_factory=dict)
    request_body_json: Values = msgspec.field(default_factory=dict)
    request_body_data: Values = msgspec.field(default_factory=dict)
    authenticator: Authenticator = msgspec.field(default_factory=NoAuth)
    error_handler: DefaultErrorHandler | CompositeErrorHandler = msgspec.field(default_factory=DefaultErrorHandler)
    use_cache: Any = None


class DpathExtractor(Component, frozen=True):
    """Where the records are in the answer; `*` stands for every member."""

    field_path: list[str]


class RecordFilter(Component, frozen=True):
    """Which records count."""

    condition: str = ""


class RecordSelector(Component, frozen=True):
    """The records of an answer."""

    extractor: DpathExtractor
    record_filter: RecordFilter | None = None
    schema_normalization: Any = None
    transform_before_filtering: bool = False


class PageIncrement(Component, frozen=True):
    """Pages are counted."""

    page_size: int | str | None = None
    start_from_page: int = 0
    inject_on_first_request: bool = False


class OffsetIncrement(Component, frozen=True):
    """Records are counted."""

    page_size: int | str | None = None
    inject_on_first_request: bool = False


class CursorPagination(Component, frozen=True):
    """The answer says how it goes on."""

    cursor_value: str
    stop_condition: str = ""
    page_size: int | str | None = None
    decoder: Any = None


class NoPagination(Component, frozen=True):
    """One answer holds all."""


class DefaultPaginator(Component, frozen=True):
    """How a list goes on."""

    pagination_strategy: PageIncrement | OffsetIncrement | CursorPagination
    page_size_option: RequestOption | None = None
    page_token_option: RequestOption | RequestPath | None = None
    decoder: Any = None


class ListPartitionRouter(Component, frozen=True):
    """The stream is read once for each value."""

    values: list[str] | str
    cursor_field: str
    request_option: RequestOption | None = None


class ParentStreamConfig(Component, frozen=True):
    """A stream whose records this one is read for."""

    stream: DeclarativeStream
    parent_key: str
    partition_field: str
    request_option: RequestOption | None = None
    incremental_dependency: Any = None


class SubstreamPartitionRouter(Component, frozen=True):
    """The stream is read once for each record of other streams."""

    parent_stream_configs: list[ParentStreamConfig]


Router = ListPartitionRouter | SubstreamPartitionRouter


class MinMaxDatetime(Component, frozen=True):
    """A moment within bounds."""

    datetime: str
    datetime_format: str = ""
    min_datetime: str = ""
    max_datetime: str = ""


class DatetimeBasedCursor(Component, frozen=True):
    """Reading what changed, in spans of time."""

    cursor_field: str
    datetime_format: str
    start_datetime: str | MinMaxDatetime
    end_datetime: str | MinMaxDatetime = ""
    step: str = ""
    cursor_granularity: str = ""
    lookback_window: str = ""
    cursor_datetime_formats: list[str] = msgspec.field(default_factory=list)
    start_time_option: RequestOption | None = None
    end_time_option: RequestOption | None = None
    partition_field_start: str = "start_time"
    partition_field_end: str = "end_time"
    is_client_side_incremental: bool = False
    is_data_feed: bool = False


class AddedFieldDefinition(Component, frozen=True):
    """A field that is added."""

    path: list[str]
    value: str
    value_type: Any = None


class AddFields(Component, frozen=True):
    """Fields that are added to each record."""

    fields: list[AddedFieldDefinition]
    condition: str = ""


class RemoveFields(Component, frozen=True):
    """Fields that are taken out of each record."""

    field_pointers: list[list[str]]
    condition: str = ""


class InlineSchemaLoader(Component, frozen=True):
    """The fields, as a JSON Schema."""

    # `schema` would hide nothing here: a component has no such member of its own
    schema: dict[str, Any] = msgspec.field(default_factory=dict)


class SimpleRetriever(Component, frozen=True):
    """How the records of a stream are had."""

    requester: HttpRequester
    record_selector: RecordSelector
    paginator: DefaultPaginator | NoPagination = msgspec.field(default_factory=NoPagination)
    partition_router: Router | list[Router] = msgspec.field(default_factory=list)
    ignore_stream_slicer_parameters_on_paginated_requests: bool = False
    decoder: JsonDecoder | None = None


class JsonDecoder(Component, frozen=True):
    """Answers are JSON."""


class DeclarativeStream(Component, frozen=True, kw_only=True):
    """One list of records."""

    name: str = ""
    retriever: SimpleRetriever
    primary_key: Any = ""
    schema_loader: InlineSchemaLoader | None = None
    incremental_sync: DatetimeBasedCursor | None = None
    transformations: list[AddFields | RemoveFields] = msgspec.field(default_factory=list)
    state_migrations: Any = None


class CheckStream(Component, frozen=True):
    """Streams that a test of the connection reads."""

    stream_names: list[str] = msgspec.field(default_factory=list)


class DeclarativeSource(Component, frozen=True):
    """The manifest."""

    streams: list[DeclarativeStream]
    check: CheckStream = msgspec.field(default_factory=CheckStream)
    version: str = ""
    definitions: Any = None
    spec: Any = None
    schemas: Any = None
    metadata: Any = None
    concurrency_level: Any = None
    dynamic_streams: None = None


def _all(base: type[Component]) -> dict[str, type[Component]]:
    return {str(cls.__struct_config__.tag): cls for cls in base.__subclasses__()}


COMPONENTS = _all(Component)
"""Every component by its type."""
