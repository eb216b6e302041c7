"""Providers of machines in tcbox.yml: read, masked, and refused with what is wrong."""

import pytest

from tcbox.config import describe, load
from tcbox.config.faults import ConfigError


def read(tmp_path, text, env=None):
    path = tmp_path / "tcbox.yml"
    path.write_text(text)
    return load(path, env=env or {})


def test_providers_are_read(tmp_path):
    """Providers have a type and, by reference, credentials, which are masked wherever settings are shown."""
    text = 'providers:\n  aws-prod: {type: aws, credentials: {accessKeyId: "${env:KEY}", secretAccessKey: hush}}\n  lab: {type: static}\n'
    settings = read(tmp_path, text, {"KEY": "AKIA"})
    assert settings.providers["aws-prod"].credentials["accessKeyId"].reveal() == "AKIA"
    assert (settings.providers["lab"].type, settings.providers["lab"].credentials) == ("static", {})
    shown = describe.describe(settings)
    assert shown["providers.aws-prod.credentials.secretAccessKey"]["value"] == "***"
    assert "hush" not in repr(settings) and "AKIA" not in str(shown)
    assert read(tmp_path, "port: 1\n").providers == {}
    assert read(tmp_path, 'providers: {null-provider: {type: "null"}}\n').providers["null-provider"].type == "null"


@pytest.mark.parametrize(
    ("text", "key", "told"),
    [
        ("a: {type: gcp}", "providers.a.type", "static or null or aws or azure or google"),
        ("a: {}", "providers.a", "the key type"),
        ('a: {type: "null"}', "providers.a.type", "null-provider exists by default"),
        ("null-provider: {type: static}", "providers.null-provider.type", "null-provider exists by default"),
        ("a: {type: static, credentials: {x: y}}", "providers.a.credentials", "call no cloud"),
        ("a.b: {type: aws}", "providers.a.b", "at most 38 letters"),
        ("a: {type: aws, regions: [x]}", "providers.a.regions", "unknown key"),
    ],
)
def test_what_is_wrong_with_a_provider(tmp_path, text, key, told):
    """A provider that makes no sense is refused with the place and what to do."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, f"providers:\n  {text}\n")
    (fault,) = refused.value.faults
    assert fault.key == key and told in str(fault)
