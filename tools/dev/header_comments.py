"""Reads the comments of the public headers into objects; gen-man writes them out again.

A header is: an essay at its head, constants (enum, struct, #define) with plain comments, and
functions with a comment of a fixed form: ``name - summary``, ``@parameter: text``, paragraphs,
``Return:`` with a list of codes, ``Since:``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

COMMENT = re.compile(r"/\*+\s?(.*?)\s*\*/", re.DOTALL)
FUNCTION = re.compile(r"/\*\*\n((?:(?!\*/).)*?)\n \*/\nUC_EXPORT ([^;]+);", re.DOTALL)
HANDLE = re.compile(r"/\*\* (uc_\w+) - (.*?) \*/\ntypedef", re.DOTALL)
TYPE = re.compile(
    r"(?:/\*(?!\*)((?:(?!\*/).)*)\*/\n)?(enum|struct) (uc_\w+) \{\n(.*?)\n\};", re.DOTALL
)
DEFINE = re.compile(
    r"(?:/\*(?!\*)((?:(?!\*/).)*)\*/\n)?((?:#define UC_(?!EXPORT|BEGIN|END)\w+ .+\n)+)"
)
# A member of a struct or enum, or a comment on one.
MEMBER = re.compile(r"/\*(.*?)\*/|([^/;,]+(?:\([^)]*\))?)[;,]?", re.DOTALL)
CODE = re.compile(r"-E[A-Z0-9]+")
LISTED = re.compile(
    r"((?:-E[A-Z0-9]+(?:, )?)+)(?: {2,}(.*))?$|(any other[^:]*|any error of [^:]*): (.*)$"
)
BULLET = re.compile(r"- (.*)$")


@dataclass
class Block:
    """A piece of a text: ``text`` (words), ``list`` (term and words), ``bullets`` or ``code``."""

    kind: str
    words: str = ""
    items: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Function:
    """One public function."""

    name: str
    summary: str
    prototype: str
    parameters: list[tuple[str, str]]
    body: list[Block]
    returns: list[Block]
    since: str


@dataclass
class Constant:
    """An enum, a struct or a #define, with its members and what is said about them."""

    title: str
    text: str
    members: list[tuple[str, str]]


@dataclass
class Header:
    """One public header."""

    name: str
    title: str
    essay: list[Block]
    handles: list[tuple[str, str]]
    constants: list[Constant]
    functions: list[Function]


def join(text: str) -> str:
    """Comment text as one line of words."""
    return " ".join(line.strip().removeprefix("*").strip() for line in text.split("\n")).strip()


def strip_stars(text: str) -> list[str]:
    """The lines of a comment without what frames them."""
    return [re.sub(r"^ \* ?", "", line).rstrip() for line in text.split("\n")]


def add_indented(blocks: list[Block], lines: list[str]) -> None:
    """Indented lines are a list of codes, bullets, or else a picture."""
    least = min(len(line) - len(line.lstrip()) for line in lines)
    lines = [line[least:] for line in lines]
    for kind, pattern in (("list", LISTED), ("bullets", BULLET)):
        if not pattern.match(lines[0]):
            continue
        block = Block(kind)
        for line in lines:
            match = None if line.startswith(" ") else pattern.match(line)
            if match and kind == "bullets":
                block.items.append(("", match[1]))
            elif match:
                block.items.append((match[1] or match[3], match[2] or match[4] or ""))
            else:
                term, words = block.items[-1]
                block.items[-1] = (term, f"{words} {line.strip()}")
        blocks.append(block)
        return
    blocks.append(Block("code", "\n".join(lines)))


def parse_blocks(lines: list[str]) -> list[Block]:
    """Paragraphs, lists and pictures of a comment."""
    blocks: list[Block] = []
    paragraph: list[str] = []
    indented: list[str] = []

    def flush() -> None:
        if paragraph:
            blocks.append(Block("text", " ".join(paragraph)))
            paragraph.clear()
        while indented and not indented[-1]:
            indented.pop()
        if indented:
            add_indented(blocks, list(indented))
            indented.clear()

    for line in lines:
        if line.startswith("  "):
            if paragraph:
                flush()
            indented.append(line)
        elif not line and indented:
            indented.append(line)
        elif not line:
            flush()
        else:
            if indented:
                flush()
            paragraph.append(line)
    flush()
    return blocks


def parse_parameters(lines: list[str]) -> list[tuple[str, str]]:
    """Take ``@name: text`` off the head of a comment."""
    parameters: list[tuple[str, str]] = []
    while lines and lines[0]:
        line = lines.pop(0)
        match = re.match(r"@(\w+): +(.*)$", line)
        if match:
            parameters.append((match[1], match[2]))
        else:
            name, text = parameters[-1]
            parameters[-1] = (name, f"{text} {line.strip()}")
    return parameters


def parse_function(comment: str, prototype: str) -> Function:
    """One comment of the fixed form and the declaration under it."""
    lines = strip_stars(comment)
    name, _, summary = lines.pop(0).partition(" - ")
    if not re.search(rf"\b{name}\(", prototype):
        raise ValueError(f"the comment on {name} stands above: {prototype}")
    parameters = parse_parameters(lines)
    since = next((line.split()[1] for line in lines if line.startswith("Since: ")), "")
    lines = [line for line in lines if not line.startswith("Since: ")]
    at = next((i for i, line in enumerate(lines) if line.startswith("Return: ")), len(lines))
    returns = [line.removeprefix("Return: ") for line in lines[at:]]
    return Function(
        name=name,
        summary=summary,
        prototype=re.sub(r"\s+", " ", prototype),
        parameters=parameters,
        body=parse_blocks(lines[:at]),
        returns=parse_blocks(returns),
        since=since,
    )


def parse_members(body: str) -> list[tuple[str, str]]:
    """Members and the comments before them, or behind them on the same line."""
    members: list[tuple[str, str]] = []
    before = ""
    for match in MEMBER.finditer(body):
        comment, member = match.groups()
        on_own_line = not body[: match.start()].rpartition("\n")[2].strip()
        if comment is None and member.strip():
            members.append((re.sub(r"\s+", " ", member.strip()), before))
            before = ""
        elif comment is not None and (on_own_line or not members):
            before = join(comment)
        elif comment is not None:
            members[-1] = (members[-1][0], join(comment))
    return members


def parse_constants(text: str) -> list[Constant]:
    """Every enum, struct and #define, in order."""
    found: list[tuple[int, Constant]] = []
    for match in TYPE.finditer(text):
        constant = Constant(f"{match[2]} {match[3]}", join(match[1] or ""), parse_members(match[4]))
        found.append((match.start(), constant))
    for match in DEFINE.finditer(text):
        pairs = [line.split(maxsplit=2)[1:] for line in match[2].strip().split("\n")]
        names = ", ".join(name for name, _ in pairs)
        values = [(f"{name} = {value}", "") for name, value in pairs if "@" not in value]
        constant = Constant(names, join(match[1] or ""), values)
        found.append((match.start(), constant))
    return [constant for _, constant in sorted(found, key=lambda pair: pair[0])]


def parse_header(path: Path) -> Header:
    """One header."""
    text = path.read_text(encoding="utf-8")
    name = path.name.removesuffix(".in")
    head = COMMENT.match(text)
    if not head:
        raise ValueError(f"{name} does not begin with a comment")
    essay = parse_blocks(strip_stars(" * " + head[1].removeprefix("\n").removeprefix(" * ")))
    title = essay[0].words.partition(". ")[0]
    title = title.removesuffix(".").removesuffix(":")
    title = title[:1].lower() + title[1:]
    if re.match(r"uc_\w+: ", title):
        title = title.partition(": ")[2]
    return Header(
        name=name,
        title=title,
        essay=essay,
        handles=[(match[1], join(match[2])) for match in HANDLE.finditer(text)],
        constants=parse_constants(text),
        functions=[parse_function(*match.groups()) for match in FUNCTION.finditer(text)],
    )
