"""
Alerts: one incident per rule and system, from the first sign until it is over.

`rules` is what is asked, `seen` what is known, `signs` how everything stands, `book` what is
remembered, and `advance` what follows: the new book, what to tell, what is over. `stored` writes
the book down.
"""

from gateway.core.alerts.advance import Outcome, Tell, acknowledge, advance, lift, silence
from gateway.core.alerts.book import (
    EVERYTHING,
    MOST_SILENCES,
    Ack,
    Book,
    Incident,
    Progress,
    Silence,
)
from gateway.core.alerts.rules import (
    AlertPlan,
    FollowUp,
    Level,
    News,
    Of,
    Rule,
    Rung,
    Silent,
    Step,
)
from gateway.core.alerts.seen import Said, Seen
from gateway.core.alerts.sentences import TITLES, figure
from gateway.core.alerts.signs import Condition, Sign, signs
from gateway.core.alerts.stored import (
    ForeignBookError,
    book_from_json,
    book_to_json,
    incident_from_json,
    incident_to_json,
)
from gateway.core.alerts.words import Stage

__all__ = [
    "EVERYTHING",
    "MOST_SILENCES",
    "TITLES",
    "Ack",
    "AlertPlan",
    "Book",
    "Condition",
    "FollowUp",
    "ForeignBookError",
    "Incident",
    "Level",
    "News",
    "Of",
    "Outcome",
    "Progress",
    "Rule",
    "Rung",
    "Said",
    "Seen",
    "Sign",
    "Silence",
    "Silent",
    "Stage",
    "Step",
    "Tell",
    "acknowledge",
    "advance",
    "book_from_json",
    "book_to_json",
    "figure",
    "incident_from_json",
    "incident_to_json",
    "lift",
    "signs",
    "silence",
]
