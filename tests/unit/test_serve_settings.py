from __future__ import annotations

import pytest

from sparseir.errors import ConfigError
from sparseir.serve.settings import ServeSettings, is_loopback, named_folders, read_keys

KEY = "0123456789abcdef"


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("search.example", False),
    ],
)
def test_which_addresses_only_this_machine_reaches(host, own):
    assert is_loopback(host) == own


def test_an_address_others_reach_needs_a_key_or_a_word(tmp_path):
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached from other machines and no API key is set"):
        ServeSettings(indexes={"a": tmp_path}, host="0.0.0.0")
    assert ServeSettings(indexes={"a": tmp_path}, host="0.0.0.0", keys=(KEY,)).hosts is None
    assert ServeSettings(indexes={"a": tmp_path}, host="0.0.0.0", open_to_all=True).hosts is None


def test_indexes_are_named_by_their_folders_or_as_told(tmp_path):
    assert list(named_folders([str(tmp_path / "one"), f"other={tmp_path}/one"])) == ["one", "other"]
    with pytest.raises(ConfigError, match="two indexes are named 'one'; tell them apart: NAME="):
        named_folders([str(tmp_path / "one"), str(tmp_path / "x" / "one")])
    with pytest.raises(ConfigError, match="the name 'a#b'"):
        named_folders(["a#b=index"])


def test_keys_come_from_a_file_and_the_environment(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# ours\n{KEY}\n\n{KEY}x\n")
    path.chmod(0o600)
    assert read_keys(path, f"{KEY}y") == ((KEY, f"{KEY}x", f"{KEY}y"), [])
    assert read_keys(None, None) == ((), [])


def test_a_key_file_others_can_read_is_warned_about(tmp_path):
    path = tmp_path / "keys"
    path.write_text(KEY)
    path.chmod(0o644)
    (warning,) = read_keys(path, None)[1]
    assert "every user of this machine" in warning


def test_a_key_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"--api-key-file .*keys: No such file"):
        read_keys(tmp_path / "keys", None)
    (tmp_path / "keys").write_bytes(b"\xff" * 20)
    with pytest.raises(ConfigError, match="is no text"):
        read_keys(tmp_path / "keys", None)


@pytest.mark.parametrize(
    ("text", "message"), [("# none\n", "holds no API key"), ("short", "an API key of 5 characters")]
)
def test_keys_that_keep_nobody_out_are_refused(tmp_path, text, message):
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_keys(path, None)


@pytest.mark.parametrize("given", ["milvus://somewhere:19530/words", "words=milvus://words.db/words"])
def test_a_collection_of_another_store_is_not_served(given: str) -> None:
    with pytest.raises(ConfigError, match="a collection is not served; ask it by 'sparseir search', or serve a folder"):
        named_folders([given])
