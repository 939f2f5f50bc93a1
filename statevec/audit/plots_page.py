"""Pictures as one HTML page that loads nothing and runs nothing: images inlined, the figures as a table beside each.

Everything that came from an instance is escaped. Nothing here keeps state.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape

from statevec.audit.plots_figures import Picture

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2630;background:#fff;max-width:1240px;margin:32px auto;padding:0 20px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:34px 0 8px}.quiet{color:#5b6875}
.side{display:flex;gap:24px;flex-wrap:wrap;align-items:flex-start}img{max-width:100%;height:auto}
table{border-collapse:collapse}td{padding:4px 12px 4px 0;border-bottom:1px solid #e3e7eb;vertical-align:top}
td+td{text-align:right;font-variant-numeric:tabular-nums}
"""


def page(heading: str, below: str, drawn: Sequence[tuple[Picture, bytes]]) -> str:
    """The page of some pictures and their PNGs."""
    body = [f"<h1>{escape(heading)}</h1>", f'<p class="quiet">{escape(below)}</p>']
    for picture, content in drawn:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in picture.rows)
        image = f'<img alt="{escape(picture.title)}" src="data:image/png;base64,{b64encode(content).decode()}">'
        body.append(f'<h2>{escape(picture.title)}</h2><div class="side">{image}<table>{rows}</table></div>')
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(heading)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )
