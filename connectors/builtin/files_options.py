"""The settings of a folder of files, declared for the form and parsed for the connector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.text import N_

AUTO = "auto"
ENDINGS: Mapping[str, tuple[str, ...]] = {
    "csv": (".csv", ".tsv", ".txt"),
    "json": (".json",),
    "jsonl": (".jsonl", ".ndjson"),
    "xml": (".xml",),
    "xlsx": (".xlsx", ".xlsm"),
    "parquet": (".parquet", ".pq"),
}
ARCHIVE = "archive"
_PACKED = ("gz", "zst", "bz2")
ARCHIVES = ("zip", "tar.gz", "tgz", "tar", "gz", "zst", "bz2")
CODECS: Mapping[str, str] = {
    "utf-8": "utf-8",
    "utf-8-bom": "utf-8-sig",
    "utf-16": "utf-16",
    "gb18030": "gb18030",
    "windows-1252": "cp1252",
}
"""The encodings that can be chosen, and what Python calls them."""

LOCAL = "local"

_CSV = ("format", (AUTO, "csv"))
_HOSTED, _WEB, _KEPT = ("sftp", "ftp", "ftps"), ("webdav", "http"), ("sftp", "ftp", "ftps", "s3")

PLACE_SETTINGS = (
    Setting("place", N_("Place"), SettingKind.CHOICE, default=LOCAL,
            choices=((LOCAL, N_("A folder of this server")), ("sftp", "SFTP"), ("ftp", N_("FTP, not encrypted")),
                     ("ftps", N_("FTP with TLS")), ("s3", N_("S3 or a compatible store")), ("webdav", "WebDAV"),
                     ("http", N_("Web address, for reading only")))),
    Setting("path", N_("Folder"), SettingKind.PATH, required=True, placeholder="inbox", when=("place", (LOCAL,)),
            help=N_("The folder with the files. It must lie in a folder that the operator has released.")),
    Setting("host", N_("Host"), required=True, placeholder="files.example.com", when=("place", _HOSTED),
            help=N_("Name or address of the server.")),
    Setting("port", N_("Port"), SettingKind.INTEGER, minimum=1, maximum=65535, when=("place", _HOSTED),
            placeholder="22", help=N_("Empty for the usual one: 22 for SFTP, 21 for FTP.")),
    Setting("url", N_("Address"), SettingKind.URL, required=True, when=("place", _WEB),
            placeholder="https://files.example.com/inbox/",
            help=N_("The folder of the WebDAV server; on the web one file, or with a slash at its end a page that"
                    " links to files.")),
    Setting("bucket", N_("Bucket"), required=True, when=("place", ("s3",))),
    Setting("endpoint", N_("Address of the store"), SettingKind.URL, when=("place", ("s3",)),
            placeholder="https://minio.example.com", help=N_("Empty for Amazon S3.")),
    Setting("region", N_("Region"), default="us-east-1", when=("place", ("s3",))),
    Setting("access_key", N_("Access key"), when=("place", ("s3",)), help=N_("Empty for a public bucket.")),
    Setting("secret_key", N_("Secret key"), SettingKind.SECRET, when=("place", ("s3",))),
    Setting("path_style", N_("Bucket in the path"), SettingKind.BOOLEAN, default=True, advanced=True,
            when=("place", ("s3",)), help=N_("If not, the bucket is a part of the host's name.")),
    Setting("user", N_("User"), when=("place", (*_HOSTED, *_WEB)),
            help=N_("A user with no more rights than the rules need.")),
    Setting("password", N_("Password"), SettingKind.SECRET, when=("place", (*_HOSTED, *_WEB)),
            help=N_("With SFTP and a private key: the passphrase of the key.")),
    Setting("private_key", N_("Private key"), SettingKind.SECRET, when=("place", ("sftp",)),
            help=N_("In OpenSSH or PEM form; empty to sign in with the password.")),
    Setting("host_key", N_("Key of the server"), when=("place", ("sftp",)), placeholder="SHA256:...",
            help=N_("Test the connection to see it, and compare it with what the server's operator says.")),
    Setting("folder", N_("Folder on the server"), when=("place", _KEPT), placeholder="outgoing/orders",
            help=N_("Empty for the one that the user begins in, or for the whole bucket.")),
    Setting("tls_ca", N_("Certificate authority"), SettingKind.MULTILINE, advanced=True,
            when=("place", ("ftps", "s3", "webdav", "http")), placeholder="-----BEGIN CERTIFICATE-----",
            help=N_("The PEM text of the authority that signed the server's certificate, beside the well-known ones.")),
    Setting("largest", N_("Largest file (MB)"), SettingKind.INTEGER, default=4096, minimum=1, advanced=True,
            help=N_("A file that is fetched or unpacked is kept on this server's disk while it is read.")),
)  # fmt: skip

SPEC = ConnectorSpec(
    name="files",
    label=N_("Files"),
    category=N_("Files"),
    summary=N_(
        "Reads and writes CSV, JSON, XML, Excel and Parquet files: in a folder of this server, on SFTP, FTP and"
        " WebDAV servers, and in S3. Reads those on the web."
    ),
    capabilities=Capabilities(create=True, update=True, delete=True, transactions=True),
    settings=(
        *PLACE_SETTINGS,
        Setting("format", N_("Format"), SettingKind.CHOICE, default=AUTO,
                choices=((AUTO, N_("By the file's ending")), ("csv", N_("CSV")), ("json", N_("JSON")),
                         ("jsonl", N_("JSON lines")), ("xml", N_("XML")), ("xlsx", N_("Excel (XLSX)")),
                         ("parquet", "Parquet"))),
        Setting("pattern", N_("File names"), placeholder="orders-*.csv",
                help=N_("Only files whose names match. With a * the pattern itself is an object, too: all matching "
                        "files one after the other, in the order of their names.")),
        Setting("key", N_("Key field"), placeholder="id",
                help=N_("The field that tells the records apart; several separated by commas. If empty, a field "
                        "called id, no, key, code or the like is taken if its values are unique.")),
        Setting("types", N_("Numbers and dates"), SettingKind.CHOICE, default="detect",
                choices=(("detect", N_("Detect")), ("text", N_("Keep everything as text"))),
                help=N_("Codes with leading zeros, phone numbers and ambiguous dates stay text in any case.")),
        Setting("delimiter", N_("Delimiter"), SettingKind.CHOICE, default=AUTO, advanced=True, when=_CSV,
                choices=((AUTO, N_("Detect")), (",", N_("Comma")), (";", N_("Semicolon")), ("tab", N_("Tab")),
                         ("|", N_("Vertical bar")))),
        Setting("quote", N_("Quotation mark"), SettingKind.CHOICE, default='"', advanced=True, when=_CSV,
                choices=(('"', '"'), ("'", "'"))),
        Setting("encoding", N_("Encoding"), SettingKind.CHOICE, default=AUTO, advanced=True, when=_CSV,
                choices=((AUTO, N_("Detect")), ("utf-8", "UTF-8"), ("utf-8-bom", N_("UTF-8 with BOM")),
                         ("utf-16", "UTF-16"), ("gb18030", "GB18030 (GBK)"), ("windows-1252", "Windows-1252"))),
        Setting("header", N_("First row holds the names"), SettingKind.BOOLEAN, default=True, advanced=True,
                when=("format", (AUTO, "csv", "xlsx"))),
        Setting("null_text", N_("Text for 'no value'"), advanced=True, when=_CSV, default="", placeholder="NULL",
                help=N_("What stands in the file, without quotation marks, where there is no value.")),
        Setting("records_path", N_("Path to the records"), advanced=True, when=("format", (AUTO, "json")),
                placeholder="data.items",
                help=N_("Where the list of records is in a JSON file; empty if the file is the list.")),
        Setting("record_path", N_("Path of a record"), advanced=True, when=("format", (AUTO, "xml")),
                placeholder="customers/customer",
                help=N_("The element that holds one record; empty for the elements below the outermost one.")),
        Setting("sheet", N_("Sheet"), advanced=True, when=("format", (AUTO, "xlsx")), placeholder="Sheet1",
                help=N_("The name of the sheet; empty for the first one.")),
        Setting("settle", N_("Seconds without a change before a file is read"), SettingKind.INTEGER, default=2,
                minimum=0, maximum=3600, advanced=True,
                help=N_("A file that was changed more recently may not be complete yet.")),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Options:
    """The settings of a connection, parsed."""

    path: str
    place: str = LOCAL
    host: str = ""
    port: int | None = None
    url: str = ""
    bucket: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    path_style: bool = True
    user: str = ""
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    host_key: str = ""
    folder: str = ""
    tls_ca: str = ""
    largest: int = 4096
    format: str = AUTO
    pattern: str = ""
    key: tuple[str, ...] = ()
    detect: bool = True
    delimiter: str = AUTO
    quote: str = '"'
    encoding: str = AUTO
    header: bool = True
    null_text: str = ""
    records_path: str = ""
    record_path: str = ""
    sheet: str = ""
    settle: int = 2

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Options:
        """Return the options that the settings stand for."""
        given = {s.name: settings[s.name] for s in SPEC.settings if settings.get(s.name) not in (None, "")}
        given["detect"] = given.pop("types", "detect") == "detect"
        given["key"] = tuple(part.strip() for part in str(given.get("key", "")).split(",") if part.strip())
        delimiter = str(given.get("delimiter", AUTO))
        given["delimiter"] = "\t" if delimiter in ("tab", "\\t") else delimiter
        return cls(**{"path": "", **given})

    def format_of(self, name: str) -> str | None:
        """Return the format of a file by the settings or its ending, or None if the ending tells nothing."""
        if archive_of(name):
            return ARCHIVE
        if self.format != AUTO:
            return self.format
        lower = name.lower()
        return next((kind for kind, endings in ENDINGS.items() if lower.endswith(endings)), None)

    def patterns(self) -> tuple[str, ...]:
        """Return the globs of the files that are objects."""
        if self.pattern:
            return (self.pattern,)
        endings = ENDINGS.get(self.format) or tuple(e for found in ENDINGS.values() for e in found)
        packed = [f"*{ending}.{kind}" for ending in endings for kind in _PACKED]
        containers = [f"*.{kind}" for kind in ARCHIVES if kind not in _PACKED]
        return (*(f"*{ending}" for ending in endings), *packed, *containers)


def archive_of(name: str) -> str:
    """Return the kind of an archive by the ending of its name, "" for other files."""
    lower = name.lower()
    return next((kind for kind in ARCHIVES if lower.endswith(f".{kind}")), "")
