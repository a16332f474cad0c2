"""Laws of what a connector tells about itself, of connection tests, of errors and of reading."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable

import polars as pl
import pytest

from connectors.errors import ConnectorError, ObjectMissing
from connectors.spi import Connector, Context, Cursor, ReadRequest, Setting, SettingKind
from connectors.testing_sample import KEY, VERSION, ConformanceBase, Settings, joined, name_of, same
from rules.schema import FieldType, Schema
from rules.text import Message

_CANARY = "canary-7c1f0e5d"
_PYTHON_TYPES = {SettingKind.INTEGER: int, SettingKind.BOOLEAN: bool}


class SpecLaws(ConformanceBase):
    """The catalogue entry and the connection test."""

    def test_spec_is_complete(self) -> None:
        """The catalogue entry and every setting has what the form, the checks and the documentation need."""
        spec = self.connector.spec
        assert spec.name == spec.name.lower()
        assert spec.name.isidentifier()
        assert all((spec.label, spec.category, spec.summary))
        names = [setting.name for setting in spec.settings]
        assert len(names) == len(set(names))
        for setting in spec.settings:
            _check_setting(setting, names)

    def test_settings_survive_a_form(self, settings: Settings, context: Context) -> None:
        """Settings are plain JSON values, each declared, and the connector does not change them."""
        declared = {setting.name for setting in self.connector.spec.settings}
        assert set(settings) <= declared
        declarations = self.connector.spec.settings
        given = {setting.name: setting.default for setting in declarations} | dict(settings)
        required = {d.name for d in declarations if d.required and (not d.when or given[d.when[0]] in d.when[1])}
        assert required <= set(settings)
        with self.connect(json.loads(json.dumps(settings)), context) as source:
            assert {name: source.settings[name] for name in settings} == dict(settings)

    def test_connection_test_passes(self, source: Connector, seeded: pl.DataFrame) -> None:
        """Each step of the test of a good connection is fine and says what was found."""
        steps = list(source.check())
        assert steps
        assert all(step.ok for step in steps), [str(step.detail) for step in steps if not step.ok]
        assert all(step.name and isinstance(step.detail, Message) and str(step.detail) for step in steps)
        assert len({step.name for step in steps}) == len(steps)

    def test_connection_test_stops_at_what_is_wrong(self, settings: Settings, context: Context) -> None:
        """A wrong setting fails exactly the last step, and each kind of mistake has its own sentence."""
        told = []
        for wrong in self.broken(settings):
            with self.connect(wrong, context) as source:
                steps = list(source.check())
            assert [step.ok for step in steps] == [True] * (len(steps) - 1) + [False]
            told.append(_sentence(steps[-1].detail))
        assert told
        assert len(set(told)) == len(told), "two mistakes are told in the same words"

    def test_errors_are_connector_errors(self, settings: Settings, context: Context) -> None:
        """Whatever is wrong, the caller gets an error that says what to do, and its words can be formatted."""
        for wrong in self.broken(settings):
            with self.connect(wrong, context) as source, pytest.raises(ConnectorError) as caught:
                source.objects()
            assert str(caught.value)

    def test_secrets_stay_secret(self, settings: Settings, context: Context) -> None:
        """No error, no step and no printed form of the connector shows a secret."""
        canaries = dict.fromkeys(self.connector.spec.secrets, _CANARY)
        told: list[str] = []
        for wrong in ({**settings, **canaries}, *({**broken, **canaries} for broken in self.broken(settings))):
            with self.connect(wrong, context) as source:
                told += [repr(source), str(source), *(str(step.detail) for step in source.check())]
                try:
                    source.objects()
                except ConnectorError as error:
                    told += ["".join(traceback.format_exception(error)), repr(error)]
        assert not [text for text in told if _CANARY in text]

    def test_object_is_listed(self, source: Connector, seeded: pl.DataFrame) -> None:
        """Discovery shows the object, once, in the order of names."""
        names = [found.name for found in source.objects()]
        assert names == sorted(names)
        assert names.count(self.object_name) == 1

    def test_schema_is_discovered(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> None:
        """Discovery shows the fields in order with their types, and the key."""
        found = source.schema(self.object_name)
        assert found.names == sample.names
        if not self.infers_types:
            assert {f.name: f.type for f in found.fields} == {f.name: f.type for f in sample.fields}
            assert found.dtypes() == sample.dtypes()
            assert found.key == sample.key

    def test_unknown_object(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> None:
        """An object that does not exist is said to be missing, by its name."""
        with pytest.raises(ObjectMissing, match="no_such_object"):
            source.schema("no_such_object")
        with pytest.raises(ObjectMissing, match="no_such_object"):
            list(source.read(ReadRequest("no_such_object", sample)))


class ReadLaws(ConformanceBase):
    """Reading, paging, resuming and looking up."""

    @pytest.fixture(autouse=True)
    def _needs_lookup(self, request: pytest.FixtureRequest) -> None:
        able = self.connector.spec.capabilities
        if "lookup" in request.node.name and not able.lookup:
            pytest.skip("the connector looks nothing up")
        if "resumes" in request.node.name and able.messages:
            pytest.skip("messages are read again until they are acknowledged")

    def test_reads_exactly_what_is_there(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> None:
        """All types, nulls, extreme values and 4-byte characters arrive unchanged."""
        assert same(joined(self.pages(source, sample)).sort(KEY), seeded.sort(KEY))

    def test_reads_the_fields_asked_for(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> None:
        """A schema with fewer fields in another order gives these fields in this order."""
        part = sample.select((VERSION, KEY))
        assert same(joined(self.pages(source, part)).sort(KEY), seeded.select(part.names).sort(KEY))

    def test_empty_object(self, settings: Settings, source: Connector, sample: Schema) -> None:
        """An object without records yields one empty page with the schema's types."""
        self.seed(settings, sample, sample.empty())
        assert [page.records.height for page in self.pages(source, sample)] == [0]

    @pytest.mark.parametrize("size", [1, 3, 1000])
    def test_page_size_changes_nothing(
        self, source: Connector, seeded: pl.DataFrame, sample: Schema, size: int
    ) -> None:
        """Records come in the same order whatever the size of a page."""
        assert same(joined(self.pages(source, sample, size=size)), joined(self.pages(source, sample)))

    def test_resumes_behind_every_page(
        self, settings: Settings, context: Context, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """Another connector goes on behind any page and reads exactly the rest."""
        self._check_resume(settings, context, sample, None)

    def test_lookup_finds_by_key(self, source: Connector, seeded: pl.DataFrame, sample: Schema) -> None:
        """Records are found by key, exactly; unknown keys are absent."""
        wanted = seeded.sort(KEY).head(3)
        keys = pl.Series(KEY, [*wanted[KEY], 999_999], dtype=pl.Int64)
        assert same(source.lookup(self.object_name, sample, KEY, keys).sort(KEY), wanted)
        assert same(source.lookup(self.object_name, sample, KEY, keys.clear()), sample.empty())

    def _check_resume(self, settings: Settings, context: Context, schema: Schema, cursor: Cursor | None) -> None:
        with self.connect(settings, context) as first:
            pages = self.pages(first, schema, cursor, size=3)
        for number, page in enumerate(pages, 1):
            with self.connect(settings, context) as second:
                rest = self.pages(second, schema, cursor, json.loads(json.dumps(page.position)), size=3)
            expected = [schema.empty(), *(later.records for later in pages[number:])]
            assert same(joined(rest), pl.concat(expected)), f"resumed behind page {number}"


class CursorLaws(ReadLaws):
    """Reading what changed."""

    @pytest.fixture(autouse=True)
    def _needs_cursor(self, request: pytest.FixtureRequest) -> None:
        if "cursor" in request.node.name and not self.connector.spec.capabilities.cursor:
            pytest.skip("the connector has no cursor")

    @pytest.mark.parametrize("size", [1, 3, 1000])
    @pytest.mark.parametrize("since", [None, 0, 3, 4, 5, 6])
    def test_cursor_selects_and_sorts(
        self, source: Connector, seeded: pl.DataFrame, sample: Schema, since: int | None, size: int
    ) -> None:
        """Records without a value come first, then those from `since` on, by value and then by the tie."""
        found = joined(self.pages(source, sample, Cursor(VERSION, KEY, since), size=size))
        assert same(found, _selected(seeded, VERSION, since))

    @pytest.mark.parametrize(
        "kind", [FieldType.DATETIME, FieldType.LOCAL_DATETIME, FieldType.DECIMAL, FieldType.DATE, FieldType.TEXT]
    )
    def test_cursor_since_is_exact(
        self, source: Connector, seeded: pl.DataFrame, sample: Schema, kind: FieldType
    ) -> None:
        """A value of the field, as read or in its JSON form, selects the records that have at least this value."""
        if kind not in self.types:
            pytest.skip(f"the connector has no {kind}")
        name = name_of(kind)
        for value in seeded[name].drop_nulls().unique():
            keys = [
                set(joined(self.pages(source, sample, Cursor(name, KEY, since), size=size))[KEY])
                for since, size in ((value, 4), (str(value), 1000))
            ]
            expected = {key for key, found in seeded.select(KEY, name).rows() if found is None or found >= value}
            if kind is FieldType.TEXT:  # how texts compare is the system's own business
                expected = keys[0] & set(seeded[KEY])
                assert set(seeded.filter(pl.col(name).is_null() | (pl.col(name) == value))[KEY]) <= keys[0]
            assert keys == [expected, expected], f"since {value!r}"

    def test_cursor_resumes_behind_every_page(
        self, settings: Settings, context: Context, seeded: pl.DataFrame, sample: Schema
    ) -> None:
        """A read by cursor goes on behind any page too."""
        self._check_resume(settings, context, sample, Cursor(VERSION, KEY, 3))


def _sentence(detail: Message) -> str:
    problem = detail.values.get("problem")
    return problem.template if isinstance(problem, Message) else detail.template


def _selected(records: pl.DataFrame, field: str, since: int | None) -> pl.DataFrame:
    wanted = pl.lit(value=True) if since is None else pl.col(field).is_null() | (pl.col(field) >= since)
    return records.filter(wanted).sort(field, KEY, nulls_last=False)


def _check_setting(setting: Setting, names: Iterable[str]) -> None:
    assert setting.name.isidentifier(), setting.name
    assert setting.label, f"{setting.name} has no label"
    assert not (setting.required and setting.default is not None), f"{setting.name} is required and has a default"
    choices = [value for value, _ in setting.choices]
    assert bool(choices) == (setting.kind is SettingKind.CHOICE), f"{setting.name}: choices"
    assert all(label for _, label in setting.choices), f"{setting.name}: a choice without a label"
    if setting.default is not None:
        assert isinstance(setting.default, _PYTHON_TYPES.get(setting.kind, object)), f"{setting.name}: default"
        assert json.loads(json.dumps(setting.default)) == setting.default
        assert not choices or setting.default in choices, f"{setting.name}: default is no choice"
    if setting.kind is SettingKind.SECRET:
        assert setting.default is None, f"{setting.name}: a secret with a default"
    if setting.when is not None:
        assert setting.when[0] in names, f"{setting.name}: shown only with an unknown setting"
