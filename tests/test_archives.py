import gzip
import io
import tarfile
import zipfile

import pytest
from data_fixtures import told, write

from glassnet.data import compressed, members, tars
from glassnet.data.archives import open_files
from glassnet.data.compressed import gunzipped
from glassnet.errors import UserError


def tar_of(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            else:
                info.type, info.linkname = content
            file.addfile(info, io.BytesIO(content if isinstance(content, bytes) else b""))
    return path


def zip_of(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


CONTENT = {"b/2.txt": b"two", "a/1.txt": b"one", "a/.hidden": b"x", "__MACOSX/a": b"x"}


@pytest.mark.parametrize("form", ["folder", ".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_files_are_listed_in_order_and_read_whatever_holds_them(tmp_path, form):
    path = tmp_path / f"set{form}"
    if form == "folder":
        for name, content in CONTENT.items():
            write(path / name, content)
    elif form == ".zip":
        zip_of(path, CONTENT)
    else:
        tar_of(path, CONTENT, "w:" + form.removeprefix(".tar").removeprefix("."))
    files = open_files(path)
    assert list(files.sizes.items()) == [("a/1.txt", 3), ("b/2.txt", 3)]
    assert files.read("b/2.txt") == b"two"
    assert not files.problems


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/etc/evil.png"])
@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_members_that_climb_out_are_refused(tmp_path, make, name):
    path = make(tmp_path / "set.x", {name: b"x"})
    with pytest.raises(UserError, match="set.x holds .*evil.png.*outside.*relative names"):
        open_files(path)


def test_links_in_archives_are_refused_and_reported(tmp_path):
    links = {"a": b"x", "s": (tarfile.SYMTYPE, "/etc/passwd"), "h": (tarfile.LNKTYPE, "a")}
    files = open_files(tar_of(tmp_path / "set.tar.gz", links))
    assert list(files.sizes) == ["a"]
    assert told(files.problems, "set.tar.gz", "2 links", "'s'", "--dereference")
    info = zipfile.ZipInfo("s")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    files = open_files(tmp_path / "set.zip")
    assert not files.sizes and told(files.problems, "1 links")


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_bombs_are_refused_before_they_burst(tmp_path, make, monkeypatch):
    monkeypatch.setattr(members, "RATIO_FREE", 2**20)
    monkeypatch.setattr(members, "MAX_RATIO", 500)
    path = make(tmp_path / "set.x", {"zeros": bytes(2**22)})
    with pytest.raises(
        UserError, match="set.x unpacks to .* decompression bomb.*Unpack it yourself"
    ):
        open_files(path)
    monkeypatch.setattr(members, "MAX_RATIO", 1e9)
    assert open_files(path).sizes == {"zeros": 2**22}
    monkeypatch.setattr(members, "MAX_MEMBER", 2**20)
    with pytest.raises(UserError, match="'zeros' of 4,194,304 bytes; one member may have"):
        open_files(path)


def test_broken_archives_are_explained(tmp_path):
    whole = tar_of(tmp_path / "a.tar.gz", {"a": bytes(range(256)) * 99}).read_bytes()
    for name, content in {
        "cut.tar.gz": whole[: len(whole) // 2],
        "text.tar": b"no archive at all" * 99,
        "packed.tar.gz": gzip.compress(b"no tar" * 999),
        "bad.zip": b"PK\x03\x04 and nothing more",
        "empty.tar": b"",
    }.items():
        with pytest.raises(UserError, match=f"{name} cannot be read as an archive.*fetch it again"):
            open_files(write(tmp_path / name, content))


def test_damaged_members_are_errors_of_that_file_only(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"good": b"good" * 99, "bad": bytes(range(250)) * 9})
    data = bytearray(path.read_bytes())
    data[data.index(b"bad") + 20] ^= 0xFF
    path.write_bytes(data)
    files = open_files(path)
    assert files.read("good") == b"good" * 99
    with pytest.raises(OSError, match="damaged in the archive"):
        files.read("bad")


def test_gzip_is_unpacked_with_all_its_members(monkeypatch):
    one, two = gzip.compress(b"one"), gzip.compress(b"two")
    assert gunzipped(one + two + gzip.compress(b""), "a.gz") == b"onetwo"
    assert gunzipped(b"plain", "a.csv") == b"plain"
    with pytest.raises(UserError, match="a.gz is cut short. Fetch it again"):
        gunzipped(one + two[:-6], "a.gz")
    with pytest.raises(UserError, match="a.gz is damaged.*Fetch it again"):
        gunzipped(one + b"no member", "a.gz")
    monkeypatch.setattr(compressed, "MAX_GUNZIPPED", 5)
    with pytest.raises(UserError, match="a.gz unpacks to more than 5 bytes"):
        gunzipped(one + two, "a.gz")


def test_names_in_other_spellings_are_made_plain(tmp_path):
    for path in (
        zip_of(tmp_path / "a.zip", {"./b/1.txt": b"x", "c\\2.txt": b"y"}),
        tar_of(tmp_path / "a.tar.gz", {"./b/1.txt": b"x", "c\\2.txt": b"y"}),
    ):
        files = open_files(path)
        assert list(files.sizes) == ["b/1.txt", "c/2.txt"]
        assert (files.read("b/1.txt"), files.read("c/2.txt")) == (b"x", b"y")


def test_a_full_temporary_disk_is_explained(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tars, "_unpack", full)
    with pytest.raises(UserError, match="a.tar.gz does not fit.*TMPDIR"):
        open_files(tar_of(tmp_path / "a.tar.gz", {"a": b"x"}))


def test_links_in_folders_are_followed_but_not_in_circles(tmp_path):
    write(tmp_path / "elsewhere" / "1.txt", "x")
    write(tmp_path / "set" / "a" / "2.txt", "x")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "a" / "round").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "broken").symlink_to(tmp_path / "nowhere")
    assert "linked/1.txt" in open_files(tmp_path / "set").sizes
    assert len(open_files(tmp_path / "set").sizes) <= 4


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        open_files(tmp_path / "nowhere")
