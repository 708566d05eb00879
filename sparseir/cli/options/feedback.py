"""Second searches with words of the first hits: --feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from sparseir.cli import arguments

if TYPE_CHECKING:
    from sparseir.search.feedback.options import Feedback

FeedbackDocuments = Annotated[
    int | None,
    arguments.Option(
        "--feedback",
        min=1,
        metavar="N",
        help="Search twice: words of the first N hits, say 2, are added to the query. Needs an index with words (BM25).",
    ),
]
FeedbackWeight = Annotated[
    float | None,
    arguments.Option(help="With --feedback: length of the added words' vector, as a share of the query's; 0.3."),
]


def chosen_feedback(documents: int | None, weight: float | None) -> Feedback | None:
    """What --feedback and --feedback-weight ask for.

    Raises
    ------
    BadParameter : a number out of range, or a weight alone.
    """
    from sparseir.search.feedback.options import Feedback

    if documents is None:
        if weight is not None:
            raise arguments.BadParameter("--feedback-weight is of the words that --feedback adds; give both")
        return None
    with arguments.usage():
        return Feedback(documents=documents) if weight is None else Feedback(documents=documents, weight=weight)
