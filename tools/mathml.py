"""A Markdown extension: `$...$` and `$$...$$` become MathML, so that pages show formulas without any script.

zensical.toml names it; browsers render MathML themselves.
"""

import re
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor

BLOCK = re.compile(r"^\$\$(.+?)\$\$$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


class Blocks(Preprocessor):
    """Formulas that stand alone, outside of fenced code."""

    def run(self, lines: list[str]) -> list[str]:
        """Put each formula's MathML in its place, hidden from the rest of Markdown."""
        parts = FENCED.split("\n".join(lines))
        parts[::2] = [BLOCK.sub(self._replace, part) for part in parts[::2]]
        return "".join(parts).split("\n")

    def _replace(self, found: re.Match[str]) -> str:
        assert self.md is not None
        return self.md.htmlStash.store(f'<div class="formula">{convert(found[1], display="block")}</div>')


class Inline(InlineProcessor):
    """Formulas within a line."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element | str, int, int]:  # noqa: N802
        """The formula's MathML."""
        assert self.md is not None
        return self.md.htmlStash.store(convert(m[1])), m.start(0), m.end(0)


class MathML(Extension):
    """Both kinds of formulas."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Register: blocks after fenced code, formulas in lines after inline code and before escapes."""
        md.preprocessors.register(Blocks(md), "formula-block", 24)
        md.inlinePatterns.register(Inline(r"(?<![\\$\w])\$(?=\S)([^$\n]+?)(?<=\S)\$(?![\w$])", md), "formula", 185)


def makeExtension(**options: Any) -> MathML:  # noqa: N802
    """What Markdown calls."""
    return MathML(**options)
