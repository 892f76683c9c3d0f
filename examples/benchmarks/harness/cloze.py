"""Thirty sentences with a word left out, written before any network saw them.

Common words, right by what the sentence says and not by what it repeats. Where
English allows several, all of them count.
"""

SENTENCES = [
    ("The sun rises in the [MASK].", ["east", "morning"]),
    ("She opened the [MASK] and walked into the room.", ["door"]),
    (
        "He was so hungry that he ate the whole [MASK].",
        ["meal", "cake", "thing"],
    ),
    ("In winter the lake is covered with [MASK].", ["ice", "snow"]),
    ("The king and the [MASK] lived in a castle.", ["queen", "prince"]),
    ("Paris is the capital of [MASK].", ["france"]),
    ("The doctor works in a [MASK].", ["hospital", "clinic"]),
    ("He wrote a long [MASK] to his mother.", ["letter", "note"]),
    ("Seven days make a [MASK].", ["week"]),
    ("The farmer milked the [MASK] every morning.", ["cow", "cows", "goats"]),
    ("Two and two make [MASK].", ["four"]),
    ("The ship sailed across the [MASK].", ["sea", "ocean", "atlantic"]),
    ("Her brother is taller than [MASK].", ["her", "she", "him", "me"]),
    ("The baby began to [MASK] because it was hungry.", ["cry", "scream"]),
    ("The war lasted for ten [MASK].", ["years", "days", "months"]),
    ("They listened to the [MASK] on the radio.", ["music", "news", "song"]),
    ("The train left the [MASK] at noon.", ["station"]),
    ("Shakespeare was an English [MASK].", ["poet", "writer", "playwright"]),
    ("Birds have wings so that they can [MASK].", ["fly"]),
    ("If you are tired, you should go to [MASK].", ["bed", "sleep"]),
    ("The judge sent the thief to [MASK].", ["prison", "jail"]),
    ("A triangle has three [MASK].", ["sides", "angles", "corners"]),
    ("He put on his [MASK] and went out into the rain.", ["coat", "hat"]),
    ("The teacher asked the [MASK] a question.", ["class", "students", "boy"]),
    ("Water turns into steam when it is very [MASK].", ["hot"]),
    ("The book was written [MASK] a young woman.", ["by", "for", "about"]),
    ("My father and my [MASK] met at school.", ["mother"]),
    ("The soldiers fired their [MASK] at the enemy.", ["guns", "rifles"]),
    ("The boys were playing football when [MASK] heard it.", ["they"]),
    ("It was too dark to [MASK] anything.", ["see"]),
]
