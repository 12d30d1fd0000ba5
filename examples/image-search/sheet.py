"""Shows the results: a contact sheet as one PNG, and the same as a small HTML page."""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from features import on_white
from images import Image


@dataclass(frozen=True)
class Match:
    image: Image
    distance: float


@dataclass(frozen=True)
class Result:
    """A query image and its nearest neighbours, nearest first."""

    query: Image
    neighbours: list[Match]


# Sizes in pixels.
_COLUMNS = 3
_THUMB = 112
_QUERY = 200
_GAP = 12
_PADDING = 20
_LINE = 17
_TITLE = 56

_PAPER, _CARD, _INK, _FAINT = "#eceff3", "#ffffff", "#1d2733", "#6b7785"
_SAME, _OTHER = "#2f9e57", "#c9ced6"

_LEGEND = "Each image above its nearest neighbours by cosine distance; green: from the same folder."


def write_png(title: str, results: list[Result], folder: Path, target: Path) -> None:
    neighbours = max(len(result.neighbours) for result in results)
    width = 2 * _PADDING + neighbours * _THUMB + (neighbours - 1) * _GAP
    height = 2 * _PADDING + _QUERY + 2 * _GAP + _THUMB + 2 * _LINE
    rows = -(-len(results) // _COLUMNS)
    columns = min(_COLUMNS, len(results))
    size = (columns * (width + _PADDING) + _PADDING, _TITLE + rows * (height + _PADDING) + _PADDING)
    sheet = PIL.Image.new("RGB", size, _PAPER)
    draw = PIL.ImageDraw.Draw(sheet)
    draw.text((_PADDING, _PADDING), title, fill=_INK, font=_font(24))
    edge = _PADDING + draw.textlength(title, _font(24)) + 2 * _GAP
    draw.text((edge, _PADDING + 8), _LEGEND, fill=_FAINT, font=_font(16))
    for number, result in enumerate(results):
        left = _PADDING + number % _COLUMNS * (width + _PADDING)
        top = _TITLE + _PADDING + number // _COLUMNS * (height + _PADDING)
        draw.rounded_rectangle((left, top, left + width, top + height), 10, fill=_CARD)
        _draw_card(sheet, draw, result, folder, left + _PADDING, top + _PADDING)
    sheet.save(target)


def _draw_card(sheet, draw, result: Result, folder: Path, left: int, top: int) -> None:
    _paste(sheet, folder / result.query.path, left, top, _QUERY)
    beside = left + _QUERY + _GAP
    draw.text((beside, top + _GAP), result.query.name, fill=_INK, font=_font(22))
    draw.text((beside, top + _GAP + 32), result.query.folder, fill=_FAINT, font=_font(16))

    top += _QUERY + 2 * _GAP
    for match in result.neighbours:
        _paste(sheet, folder / match.image.path, left, top, _THUMB)
        colour = _SAME if match.image.folder == result.query.folder else _OTHER
        draw.rectangle((left, top + _THUMB + 2, left + _THUMB - 1, top + _THUMB + 4), fill=colour)
        draw.text(
            (left, top + _THUMB + 6), _fitted(draw, match.image.name, _THUMB), fill=_INK, font=_font(13)
        )
        draw.text((left, top + _THUMB + 6 + _LINE), f"{match.distance:.3f}", fill=_FAINT, font=_font(13))
        left += _THUMB + _GAP


def _paste(sheet: PIL.Image.Image, path: Path, left: int, top: int, size: int) -> None:
    """Pastes an image, made as large as fits, into the middle of a square."""
    image = on_white(PIL.Image.open(path))
    scale = size / max(image.size)
    shape = [max(1, round(side * scale)) for side in image.size]
    image = image.resize(shape, PIL.Image.Resampling.LANCZOS)
    sheet.paste(image, (left + (size - image.width) // 2, top + (size - image.height) // 2))


def _font(size: int) -> PIL.ImageFont.ImageFont:
    return PIL.ImageFont.load_default(size)


def _fitted(draw: PIL.ImageDraw.ImageDraw, text: str, width: int) -> str:
    """The text, cut so that it is no wider than the picture above it."""
    font = _font(13)
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(text + "...", font) > width:
        text = text[:-1]
    return text.rstrip() + "..."


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ margin: 2rem; background: {paper}; color: {ink}; font: 15px/1.4 system-ui, sans-serif }}
  main {{ display: grid; gap: 1.25rem }}
  main {{ grid-template-columns: repeat(auto-fill, minmax(min(36rem, 100%), 1fr)) }}
  section {{ background: {card}; border-radius: .6rem; padding: 1.25rem }}
  img {{ object-fit: contain; background: white }}
  header {{ display: flex; gap: 1rem }}
  header img {{ width: 12rem; height: 12rem }}
  h2 {{ margin: .5rem 0 0; font-size: 1.3rem }}
  small {{ color: {faint} }}
  ol {{ display: grid; grid-template-columns: repeat(5, 1fr); gap: .75rem; margin: 1rem 0 0; padding: 0 }}
  li {{ list-style: none; overflow-wrap: anywhere }}
  li img {{ width: 100%; aspect-ratio: 1; border-bottom: 3px solid {other}; padding-bottom: 2px }}
  li.same img {{ border-color: {same} }}
</style>
<h1>{title}</h1>
<p>{legend}</p>
<main>
{cards}
</main>
</html>
"""


def write_html(title: str, results: list[Result], folder: Path, target: Path) -> None:
    """The page shows the images where they are, so it must stay beside `folder`."""
    cards = "\n".join(_card(result, folder.name) for result in results)
    page = _PAGE.format(
        title=html.escape(title),
        legend=html.escape(_LEGEND),
        cards=cards,
        paper=_PAPER,
        card=_CARD,
        ink=_INK,
        faint=_FAINT,
        same=_SAME,
        other=_OTHER,
    )
    target.write_text(page, encoding="utf-8")


def _card(result: Result, folder: str) -> str:
    query = result.query
    items = "\n".join(_items(result, folder))
    return (
        f"<section><header>{_img(query, folder)}<div><h2>{html.escape(query.name)}</h2>"
        f"<small>{html.escape(query.folder)}</small></div></header>\n<ol>\n{items}\n</ol></section>"
    )


def _items(result: Result, folder: str) -> Iterator[str]:
    for match in result.neighbours:
        same = ' class="same"' if match.image.folder == result.query.folder else ""
        name = html.escape(match.image.name)
        yield (
            f"<li{same}>{_img(match.image, folder)}<div>{name}</div><small>{match.distance:.3f}</small></li>"
        )


def _img(image: Image, folder: str) -> str:
    source = html.escape(f"{folder}/{image.path.as_posix()}")
    return f'<img src="{source}" alt="{html.escape(image.name)}" loading="lazy">'
