"""Read a finished page like a suspicious editor, and list everything that forbids publishing it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from clusterpolicy import sources

LARGEST_PAGE = 1_000_000
SHORTEST_ALT = 20

_VOID = re.compile("area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr")
_FORBIDDEN = re.compile(
    "script|iframe|frame|object|embed|applet|form|input|button|base|audio|video|foreignobject"
    "|animate|set"
)
# Attributes that make a browser fetch something.
_FETCHING = re.compile("src|srcset|poster|data|background|action|formaction|ping")
# Attributes in which url(...) is followed.
_STYLING = re.compile("style|fill|stroke|filter|mask|cursor|clip-path|marker(-start|-mid|-end)?")
_REFERRING = frozenset(("aria-labelledby", "aria-describedby", "headers", "for"))
_PAGE_BESIDE = re.compile(r"(\.\./)?[\w-]+(/[\w-]+)*\.html(#[\w-]+)?")
_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
_LEAKS = {
    "a traceback": re.compile(r"Traceback \(most recent call last\)"),
    "a warning": re.compile(r"\b[A-Z]\w*Warning:"),
    "a memory address": re.compile(r"\bat 0x[0-9a-f]{6,}"),
    "a process number": re.compile(r"ipykernel_\d+"),
    "a machine path": re.compile(r"(?:/site-packages/|\b[A-Z]:\\Users\\|/home/\w+/|/Users/\w+/)"),
}


class _Reader(HTMLParser):
    """Collect from the page what the rules ask about."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.ids: dict[str, int] = {}
        self.targets: list[tuple[str, str]] = []
        self.headings: list[tuple[int, str]] = []
        self.texts: dict[str, str] = {}
        self.figures: list[dict] = []
        self.tables: list[dict] = []
        self.drawings: list[dict] = []
        self.classes: set[str] = set()
        self.style = ""
        self.title = ""
        self.lang = ""
        self.policy = ""
        self._open: list[tuple[str, dict[str, str], list[str]]] = []

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        if len(attributes) < len(attrs):
            self.faults.append(f"<{tag}> repeats an attribute")
        self._look_at(tag, attributes)
        if not _VOID.fullmatch(tag):
            self._open.append((tag, attributes, []))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if not _VOID.fullmatch(tag):
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if _VOID.fullmatch(tag):
            return
        names = [name for name, _, _ in self._open]
        if not names or names[-1] != tag:
            self.faults.append(f"</{tag}> does not close <{names[-1] if names else 'nothing'}>")
            if tag not in names:
                return
        while self._open:
            name, attributes, words = self._open.pop()
            self._close(name, attributes, "".join(words))
            if name == tag:
                return

    def handle_data(self, data):
        for _, _, words in self._open:
            words.append(data)
        if _JAPANESE.search(data):
            self._require_japanese(data)
        if any(tag == "style" for tag, _, _ in self._open):
            self.style += data

    def close(self):
        super().close()
        for tag, _, _ in self._open:
            self.faults.append(f"<{tag}> is never closed")

    def _require_japanese(self, data):
        skipped = {"title", "style", "desc"}
        if any(tag in skipped for tag, _, _ in self._open):
            return
        langs = [attributes["lang"] for _, attributes, _ in self._open if "lang" in attributes]
        if not langs or langs[-1] != "ja":
            self.faults.append(f"Japanese text outside lang='ja': {data.strip()[:40]!r}")

    def _look_at(self, tag, attributes):
        self.classes.update(attributes.get("class", "").split())
        if "id" in attributes:
            self.ids[attributes["id"]] = self.ids.get(attributes["id"], 0) + 1
        if "data-fault" in attributes:
            self.faults.append(attributes["data-fault"])
        if tag == "html":
            self.lang = attributes.get("lang", "")
        if tag == "meta" and attributes.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = attributes.get("content", "")
        elif tag == "meta" and "http-equiv" in attributes:
            self.faults.append(f"<meta http-equiv={attributes['http-equiv']!r}> is not allowed")
        if _FORBIDDEN.fullmatch(tag):
            self.faults.append(f"<{tag}> is not allowed")
        if tag == "figure":
            self.figures.append({"id": attributes.get("id", "without id"), "caption": ""})
        if tag == "table":
            self.tables.append({"caption": "", "headers": 0, "unscoped": 0, "empty": 0})
        if tag == "th" and self.tables:
            self.tables[-1]["headers"] += 1
            self.tables[-1]["unscoped"] += attributes.get("scope") not in ("row", "col")
        inside_svg = any(name == "svg" for name, _, _ in self._open)
        if (tag == "svg" and not inside_svg) or (tag == "img"):
            owner = self._owner()
            self.drawings.append({"owner": owner, "alt": attributes.get("alt", ""), **attributes})
        for name, value in attributes.items():
            self._look_at_attribute(tag, name, value)

    def _owner(self):
        for tag, attributes, _ in reversed(self._open):
            if tag == "figure":
                return attributes.get("id", "without id")
        return "a drawing outside any figure"

    def _look_at_attribute(self, tag, name, value):
        address = re.sub(r"[\x00-\x20\x7f-\xa0]", "", value).lower()
        if name.startswith("on"):
            self.faults.append(f"<{tag} {name}=...> would run a script")
        if re.match(r"(javascript|vbscript|livescript):", address) or "data:text/html" in address:
            self.faults.append(f"<{tag} {name}> holds a script address: {value[:40]!r}")
        if _FETCHING.fullmatch(name) and not address.startswith(("data:image/", "data:,")):
            self.faults.append(f"<{tag} {name}={value[:60]!r}> would be fetched")
        if name in ("href", "xlink:href"):
            self._look_at_link(tag, value, address)
        if name in _REFERRING:
            self.targets += [(target, f"<{tag} {name}>") for target in value.split()]
        if _STYLING.fullmatch(name):
            for target in re.findall(r"url\(\s*[\"']?([^)\"']*)", value):
                self._look_at_link("url()", target, target.lower())
        if name == "style" and re.search(r"@import|expression\(|image-set\(", address):
            self.faults.append(f"<{tag} style={value[:40]!r}> would fetch or run something")

    def _look_at_link(self, tag, value, address):
        if value.startswith("#"):
            self.targets.append((value[1:], f"<{tag}>"))
            return
        web = tag == "a" and re.match(r"https?://|mailto:", address)
        beside = tag == "a" and _PAGE_BESIDE.fullmatch(value)
        data = tag == "a" and address.startswith("data:text/csv")
        icon = tag == "link" and value == "data:,"
        picture = tag == "image" and address.startswith("data:image/png")
        if not (web or beside or data or icon or picture):
            self.faults.append(f"<{tag}> leads to {value[:60]!r}")

    def _close(self, tag, attributes, text):
        text = " ".join(text.split())
        if "id" in attributes:
            self.texts[attributes["id"]] = text
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append((int(tag[1]), text))
        if tag == "title" and not any(name == "svg" for name, _, _ in self._open):
            self.title = text
        if tag == "caption" and self.tables:
            self.tables[-1]["caption"] = text
        if tag in ("td", "th") and self.tables and not text:
            self.tables[-1]["empty"] += 1
        if "caption" in attributes.get("class", "").split() and self.figures:
            self.figures[-1]["caption"] = text
        if tag == "figure" and self.figures:
            self.figures[-1]["source"] = "Source:" in text


def faults(html: str) -> list[str]:
    """List the faults of a page, one line each.

    Parameters
    ----------
    html : str
        A page made by `report.page`.

    Returns
    -------
    list of str
        Empty if the page may be published.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    found = [
        *reader.faults,
        *_headings(reader),
        *_ids(reader),
        *_figures(reader),
        *_tables(reader),
        *_frame(reader),
        *_leaks(html),
    ]
    size = len(html.encode("utf-8", errors="replace"))
    if size > LARGEST_PAGE:
        found.append(f"the page has {size:,} bytes; {LARGEST_PAGE:,} are allowed")
    return [" ".join(line.split()) for line in dict.fromkeys(found)]


def _headings(reader: _Reader) -> list[str]:
    levels = [level for level, _ in reader.headings]
    found = []
    if levels.count(1) != 1:
        found.append(f"the page has {levels.count(1)} h1 headings; it needs one")
    for (before, _), (level, text) in zip(reader.headings, reader.headings[1:], strict=False):
        if level > before + 1:
            found.append(f"heading {text!r} skips from h{before} to h{level}")
    if levels and levels[0] != 1:
        found.append(f"the first heading is h{levels[0]}: {reader.headings[0][1]!r}")
    found += [f"an h{level} is empty" for level, text in reader.headings if not text]
    return found


def _ids(reader: _Reader) -> list[str]:
    found = [f"id {name!r} is used {n} times" for name, n in reader.ids.items() if n > 1]
    found += [
        f"id {name!r} is no single word" for name in reader.ids if not re.match(r"\S+$", name)
    ]
    found += [
        f"{where} refers to #{target}, which is not on the page"
        for target, where in reader.targets
        if target not in reader.ids
    ]
    return found


def _figures(reader: _Reader) -> list[str]:
    found = []
    captions = {figure["id"]: figure["caption"] for figure in reader.figures}
    for figure in reader.figures:
        if len(figure["caption"].split()) < 3:
            found.append(f"{figure['id']}: the caption is {figure['caption']!r}")
        if not figure.get("source"):
            found.append(f"{figure['id']}: the source line is missing")
    for drawing in reader.drawings:
        owner = drawing["owner"]
        labels = drawing.get("aria-labelledby", "").split()
        alt = drawing["alt"] or " ".join(reader.texts.get(label, "") for label in labels)
        if len(alt) < SHORTEST_ALT:
            found.append(f"{owner}: the alternative text {alt!r} is too short")
        caption = captions.get(owner, "")
        if alt and caption.endswith(alt):
            found.append(f"{owner}: the alternative text repeats the caption")
        if owner not in captions:
            found.append(f"{owner}: {alt[:40]!r}")
    return found


def _tables(reader: _Reader) -> list[str]:
    found = []
    for place, table in enumerate(reader.tables, start=1):
        where = f"table {place} ({table['caption'][:40]!r})"
        if not table["caption"]:
            found.append(f"{where}: the caption is missing")
        if not table["headers"] or table["unscoped"]:
            found.append(
                f"{where}: {table['unscoped']} of {table['headers']} header cells have no scope"
            )
        if table["empty"]:
            found.append(f"{where}: {table['empty']} cells are blank")
    return found


def _frame(reader: _Reader) -> list[str]:
    found = []
    if "default-src 'none'" not in reader.policy or "script-src" in reader.policy:
        found.append("the content-security policy does not forbid scripts")
    if not reader.lang:
        found.append("<html> has no lang")
    if not reader.title:
        found.append("the page has no title")
    for name, words in {"sources": "source line", "processed": "'processed by' line"}.items():
        if name not in reader.classes:
            found.append(f"the {words} of the provenance block is missing")
    for target in re.findall(r"url\(\s*[\"']?([^)\"']*)", reader.style):
        if not target.startswith(("#", "data:")):
            found.append(f"the style sheet would fetch {target!r}")
    if "@import" in reader.style:
        found.append("the style sheet imports another one")
    return found


def _leaks(html: str) -> list[str]:
    found = [f"the page holds {what}" for what, pattern in _LEAKS.items() if pattern.search(html)]
    for folder in (sources.ROOT, Path.home()):
        # A root folder alone would be found in every address.
        if len(folder.parts) > 1 and re.search(rf"{re.escape(str(folder))}(?![\w-])", html):
            found.append(f"the page names a folder of this machine: {folder.name}")
    found += [
        f"unresolved reference {name}" for name in re.findall(r"\[@(?:fig|tab)-[^\]]*\]", html)
    ]
    return found
