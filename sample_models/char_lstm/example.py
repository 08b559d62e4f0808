"""Count the words of a text, and print those that come up most."""

import re
import sys
from collections import Counter

# Words that say little about a text: they are left out of the count,
# however often they come up.
STOP = {"a", "an", "and", "in", "is", "it", "of", "the", "to"}


class WordCount:
    """A running count of words.

    The words are lower case. Numbers do not count, and neither do the
    words in `STOP`.
    """

    def __init__(self, stop=STOP):
        self.stop = stop
        self.counts = Counter()

    def update(self, text):
        """Add the words of a piece of text, and return how many."""
        added = 0
        for line in text.splitlines():
            for word in re.findall(r"[a-z']+", line.lower()):
                if word not in self.stop:
                    self.counts[word] += 1
                    added += 1
        return added

    def most_common(self, number=10):
        # The count comes first, so that the result sorts by it.
        return [(count, word) for word, count in self.counts.most_common(number)]


def main(paths):
    total = WordCount()
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                total.update(file.read())
        except OSError as error:
            print("cannot read", path, "because of", error, file=sys.stderr)
            return 1
    for count, word in total.most_common():
        print(str(count).rjust(6), word)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
