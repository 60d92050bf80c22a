"""manuals.py FOLDER DATE < DUMP: writes a manual page for each command of `tally --experimental-dump-help`."""

import json
import sys
from pathlib import Path

ROOT_FILES = """\
.TP
.I ~/.local/share/tally/
What workers and coordinators keep, unless they are services.
.TP
.I /var/lib/tallystick\\-worker/
The same for the Debian package's service.
.TP
.I /etc/default/tallystick\\-worker
.B TALLY_WORKER_ARGUMENTS
and other variables of the service.
"""


def escaped(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti")
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.split("\n"))


def paragraphs(discussion):
    """Paragraphs filled; indented lines, such as examples, as they are."""
    lines = []
    for paragraph in (discussion or "").split("\n\n"):
        lines.append(".PP")
        kept = False
        for line in paragraph.split("\n"):
            indented = line.startswith("  ")
            if indented != kept:
                lines.append(".RS 4\n.nf" if indented else ".fi\n.RE")
                kept = indented
            lines.append(escaped(line.strip()))
        if kept:
            lines.append(".fi\n.RE")
    return "\n".join(lines)


def spelled(argument):
    """An argument as it is typed, with its value."""
    value = f" <{argument['valueName']}>" if argument["kind"] == "option" else ""
    if argument["kind"] == "positional":
        return f"<{argument['valueName']}>" + ("..." if argument["isRepeating"] else "")
    dashes = {"short": "-", "long": "--", "longWithSingleDash": "-"}
    return ", ".join(dashes[name["kind"]] + name["name"] for name in argument["names"]) + value


def described(argument):
    parts = [argument.get("abstract", ""), argument.get("discussion", "")]
    if argument.get("allValues"):
        parts.append(f"One of: {', '.join(argument['allValues'])}.")
    if argument.get("defaultValue"):
        parts.append(f"Default: {argument['defaultValue']}.")
    return f".TP\n.B {escaped(spelled(argument))}\n{escaped(' '.join(part for part in parts if part))}"


def page(command, path, date):
    arguments = [each for each in command.get("arguments", []) if each["shouldDisplay"]]
    children = [each for each in command.get("subcommands", []) if each["shouldDisplay"]]
    synopsis = [f"[{spelled(each)}]" if each["isOptional"] else spelled(each) for each in arguments]
    if children:
        synopsis.append("<subcommand>")
    name = "-".join(path)
    lines = [
        f'.TH "{escaped(name.upper())}" 1 "{date}" "Tallystick" "Tallystick"',
        f".SH NAME\n{escaped(name)} \\- {escaped(command['abstract'].rstrip('.'))}",
        f".SH SYNOPSIS\n.B {escaped(' '.join(path))}\n{escaped(' '.join(synopsis))}",
    ]
    if command.get("discussion"):
        lines.append(".SH DESCRIPTION\n" + paragraphs(command["discussion"]))
    if children:
        lines.append(".SH SUBCOMMANDS")
        for child in children:
            if child["commandName"] == "help":
                continue
            page_name = escaped("-".join([*path, child["commandName"]]))
            lines.append(f".TP\n.BR {page_name} (1)\n{escaped(child['abstract'])}")
    if arguments:
        lines.append(".SH OPTIONS\n" + "\n".join(described(each) for each in arguments))
    if len(path) == 1:
        lines.append(".SH FILES\n" + ROOT_FILES.rstrip())
    else:
        lines.append(f".SH SEE ALSO\n.BR {escaped('-'.join(path[:-1]))} (1)")
    yield name, "\n".join(lines) + "\n"
    for child in children:
        if child["commandName"] != "help":
            yield from page(child, [*path, child["commandName"]], date)


def main():
    folder, date = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    command = json.load(sys.stdin)["command"]
    for name, text in page(command, [command["commandName"]], date):
        (folder / f"{name}.1").write_text(text)


if __name__ == "__main__":
    main()
