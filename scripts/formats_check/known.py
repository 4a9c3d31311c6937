"""What is wrong and known to be. Each is looked for; one that is no longer so fails the proof until it is struck
off."""
import dataclasses
import fnmatch


@dataclasses.dataclass(frozen=True)
class Known:
    """Broken promises of pictures whose names match, in columns that match, whose sentence matches."""

    pictures: str
    columns: str
    sentence: str
    why: str

    def is_of(self, picture, column, sentence):
        pairs = ((picture, self.pictures), (column, self.columns), (sentence, self.sentence))
        return all(fnmatch.fnmatchcase(word, pattern) for word, pattern in pairs)


KNOWN = []
