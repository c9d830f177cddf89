"""PDF, EPUB, HTML and Office files, written here byte by byte; and what untrusted ones may not do."""

import socket
import threading
import zipfile
import zlib
from pathlib import Path

import pytest

from synthgain.anchors import documents, load
from synthgain.types import SynthgainError

pytest.importorskip("kreuzberg")

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"


def pdf(pages: list[str]) -> bytes:
    """A PDF with a line of text a page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, text in enumerate(pages):
        page = f"/Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font << /F 3 0 R >> >> /Contents {5 + 2 * i} 0 R"
        objects.append(f"<< /Type /Page {page} >>".encode())
        drawn = zlib.compress(b"BT /F 12 Tf 50 700 Td (" + text.encode("cp1252") + b") Tj ET" if text else b"")
        head = f"<< /Length {len(drawn)} /Filter /FlateDecode >>\nstream\n".encode()
        objects.append(head + drawn + b"\nendstream")
    out, places = b"%PDF-1.4\n", []
    for n, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{n} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer << /Size {len(objects) + 1} /Root 1 0 R >>\n"
    )
    return out + f"{end}startxref\n{len(out)}\n%%EOF".encode()


def packed(file: Path, **parts: str) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return file


def office(
    file: Path, main: str, body: str, also: dict[str, str] | None = None, more: dict[str, str] | None = None
) -> Path:
    """An Office file: its main part, further parts, and the relations of the main part (id → target)."""
    room, _, name = main.rpartition("/")
    kinds = {"word": "wordprocessingml.document", "ppt": "presentationml.presentation", "xl": "spreadsheetml.sheet"}
    kind = f"application/vnd.openxmlformats-officedocument.{kinds[room]}.main+xml"
    rel = '<Relationship Id="{}" Type="' + R + '/{}" Target="{}"/>'
    relations = "".join(rel.format(id, *target.split(" ")) for id, target in (also or {}).items())
    return packed(
        file,
        **{
            "[Content_Types].xml": f'<Types xmlns="{TYPES}"><Default Extension="xml" ContentType="application/xml"/>'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/{main}" ContentType="{kind}"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{RELS}">{rel.format("r", "officeDocument", main)}</Relationships>',
            f"{room}/_rels/{name}.rels": f'<Relationships xmlns="{RELS}">{relations}</Relationships>',
            main: body,
            **(more or {}),
        },
    )


def docx(file: Path, text: str, also: dict[str, str] | None = None) -> Path:
    body = f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p><w:p><w:r><w:t>Second.</w:t></w:r></w:p>"
    return office(file, "word/document.xml", f'<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>', also)


def pptx(file: Path) -> Path:
    slide = (
        f'<p:sld xmlns:p="{P}" xmlns:a="{A}"><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/>'
        '</p:nvGrpSpPr><p:grpSpPr/><p:sp><p:nvSpPr><p:cNvPr id="2" name="t"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/><p:txBody>'
        "<a:bodyPr/><a:p><a:r><a:t>A slide.</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>"
    )
    main = f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst><p:sldId id="256" r:id="s1"/></p:sldIdLst></p:presentation>'
    return office(
        file, "ppt/presentation.xml", main, {"s1": "slide slides/slide1.xml"}, {"ppt/slides/slide1.xml": slide}
    )


def xlsx(file: Path) -> Path:
    cell = '<c r="{}1" t="inlineStr"><is><t>{}</t></is></c>'
    sheet = f'<worksheet xmlns="{S}"><sheetData><row r="1">{cell.format("A", "pump")}{cell.format("B", "red")}</row></sheetData></worksheet>'
    main = (
        f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets><sheet name="Parts" sheetId="1" r:id="s1"/></sheets></workbook>'
    )
    also = {"s1": "worksheet worksheets/sheet1.xml"}
    return office(file, "xl/workbook.xml", main, also, {"xl/worksheets/sheet1.xml": sheet})


def odt(file: Path) -> Path:
    names = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    body = f"<office:document-content {names}><office:body><office:text><text:p>An open text.</text:p></office:text></office:body></office:document-content>"
    return packed(file, **{"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": body})


def epub(file: Path, chapter: str = "<p>The first chapter.</p>", head: str = "") -> Path:
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
    items = "".join(f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in "ba")
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata/>'
        f'<manifest>{items}</manifest><spine><itemref idref="a"/><itemref idref="b"/></spine></package>'
    )
    container = '<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles>'
    return packed(
        file,
        **{
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">{container}</container>',
            "book.opf": package,
            "a.xhtml": head + page.format(chapter),
            "b.xhtml": page.format("<p>The second chapter.</p>"),
        },
    )


def html(file: Path, body: str) -> Path:
    file.write_text(f"<html><head><style>p {{}}</style><script>go()</script></head><body>{body}</body></html>", "utf-8")
    return file


def test_each_kind_of_document_is_one_anchor_with_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf(["The first page, café.", "The second page."]))
    docx(tmp_path / "b.docx", "A paragraph, naïve.")
    pptx(tmp_path / "c.pptx")
    xlsx(tmp_path / "d.xlsx")
    odt(tmp_path / "e.odt")
    epub(tmp_path / "f.epub")
    html(tmp_path / "g.html", "<h1>Mills</h1><p>One &amp; two, 水車.</p>")
    (tmp_path / "h.md").write_text("A page beside them.")
    found = load(tmp_path, strict=True)
    assert [a.source for a in found] == ["a.pdf", "b.docx", "c.pptx", "d.xlsx", "e.odt", "f.epub", "g.html", "h.md"]
    said = {a.source: a.text for a in found}
    assert said["a.pdf"].index("first page, café.") < said["a.pdf"].index("The second page.")
    assert "A paragraph, naïve." in said["b.docx"] and "Second." in said["b.docx"]
    assert "A slide." in said["c.pptx"] and "An open text." in said["e.odt"]
    assert "pump" in said["d.xlsx"] and "red" in said["d.xlsx"]
    assert said["f.epub"].index("first chapter") < said["f.epub"].index("second chapter")
    assert "Mills" in said["g.html"] and "One & two, 水車." in said["g.html"] and "go()" not in said["g.html"]


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "find_spec", lambda name: None)
    (tmp_path / "a.pdf").write_bytes(pdf(["text"]))
    with pytest.raises(SynthgainError) as said:
        load(tmp_path / "a.pdf")
    assert said.value.code == 2 and said.value.next == 'pip install "synthgain[documents]"'
    docx(tmp_path / "b.docx", "text")
    (tmp_path / "c.md").write_text("A page.")
    told: list[str] = []
    assert [a.text for a in load(tmp_path, tell=told.append)] == ["A page."]
    assert told[0].startswith("2 files not read") and "synthgain[documents]" in told[0] and "a.pdf" in told[0]


@pytest.mark.parametrize(
    ("name", "raw", "what"),
    [
        ("a.pdf", b"%PDF-1.7 nothing more", "cannot be read"),
        ("a.pdf", pdf(["text"])[:300], "cannot be read"),
        ("a.pdf", pdf([""]), "no text"),
        ("a.docx", b"PK\x03\x04 nothing more", "cannot be read"),
        ("a.html", b"<html><body>caf\xe9 au lait</body></html>", "looks like Latin-1"),
        ("a.epub", b"", "empty"),
    ],
)
def test_a_bad_document_is_refused_by_name_and_left_out_of_a_folder(
    tmp_path: Path, name: str, raw: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(SynthgainError, match=what) as said:
        load(tmp_path / name)
    assert str(tmp_path / name) in said.value.where and said.value.next
    (tmp_path / "b.md").write_text("A page.")
    assert len(load(tmp_path)) == 1


def test_parts_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    docx(tmp_path / "bomb.docx", "a" * 105_000_000)
    assert (tmp_path / "bomb.docx").stat().st_size < 200_000
    with pytest.raises(SynthgainError, match="limit"):
        load(tmp_path / "bomb.docx")
    grown = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi"))
    laughs = f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY a "ha">{grown}<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    epub(tmp_path / "laughs.epub", "<p>&i; &f;</p>", laughs)
    (anchor,) = load(tmp_path / "laughs.epub")
    assert len(anchor.text) < 1_000 and "root:" not in anchor.text


def test_a_document_that_takes_too_long_is_left_out_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "SECONDS", 0.0)
    monkeypatch.setattr(documents, "SECONDS_MB", 100.0)
    (tmp_path / "a.pdf").write_bytes(pdf(["short"]))  # under 0.1 s: less than it takes to start
    docx(tmp_path / "c.docx", "It was read. " + "".join(f"{i:x} " for i in range(80_000)))  # 15 s and more
    found = load(tmp_path)
    assert [a.source for a in found] == ["c.docx"]
    assert any("takes longer" in s.why and str(tmp_path / "a.pdf") in s.first for s in found.summary.skipped)


def test_nothing_is_fetched(tmp_path: Path) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                asked.append(connection.recv(100))
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        html(
            tmp_path / "a.html",
            f'<img src="{url}"><iframe src="{url}"></iframe><script src="{url}"></script><p>text</p>',
        )
        docx(tmp_path / "b.docx", "text", {"t": f"attachedTemplate {url}"})
        epub(tmp_path / "c.epub", f'<p>text<img src="{url}"/></p>', f'<!DOCTYPE html SYSTEM "{url}">')
        assert len(load(tmp_path, strict=True)) == 3
        server.shutdown(socket.SHUT_RDWR)
    assert not asked
