"""Chat pairs from Debian's package fortunes, to fine-tune on: a topic is asked for, a saying is the answer.

    python proverbs.py TOPIC[,TOPIC...] FILE
"""

import json
import sys
from pathlib import Path

FOLDER = Path("/usr/share/games/fortunes")
LONGEST = 600


def sayings(topic):
    """The texts of a topic that are neither drawings nor too long."""
    for text in (FOLDER / topic).read_text(errors="replace").split("\n%\n"):
        text = text.strip()
        if text and len(text) <= LONGEST and "\t\t\t" not in text:
            yield " ".join(text.split())


def write(topics, path):
    """One line for each saying; returns their number."""
    with open(path, "w") as file:
        count = 0
        for topic in topics:
            for text in sayings(topic):
                messages = [{"role": "user", "content": f"Say something about {topic}."}, {"role": "assistant", "content": text}]
                file.write(json.dumps({"messages": messages}) + "\n")
                count += 1
    return count


if __name__ == "__main__":
    print(write(sys.argv[1].split(","), sys.argv[2]))
