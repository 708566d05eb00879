"""`sparseir explain`."""

from __future__ import annotations

from typing import Annotated

from sparseir.cli import arguments
from sparseir.cli.options.feedback import FeedbackDocuments, FeedbackWeight, chosen_feedback
from sparseir.cli.options.filters import joined
from sparseir.cli.options.queries import Alpha, AnyModel, IndexPath, Model, places
from sparseir.cli.options.startup import start_quickly


def explain_command(
    index: IndexPath,
    query: Annotated[str, arguments.Argument(help="Text of a query.")],
    docno: Annotated[str, arguments.Argument(help="Name of a document.")],
    model: Model = None,
    any_model: AnyModel = False,
    alpha: Alpha = None,
    feedback: FeedbackDocuments = None,
    feedback_weight: FeedbackWeight = None,
    filters: Annotated[
        list[str] | None,
        arguments.Option(
            "--filter", metavar="EXPR", help="With --feedback: under which the first hits were found; repeatable."
        ),
    ] = None,
    json: Annotated[bool, arguments.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show which terms give a document its score; the products add up to it exactly.

    examples:
      sparseir explain my-index "what you are looking for" d17
    """
    start_quickly()
    from sparseir.cli.output.console import emit_json, print_table
    from sparseir.search.searcher import Searcher

    chosen = chosen_feedback(feedback, feedback_weight)
    if filters and chosen is None:
        raise arguments.BadParameter("--filter chooses what --feedback learns from; a score is the same under any")
    searcher = Searcher.open(places(index), model=model, any_model=any_model, alpha=alpha)
    explanation = searcher.explain(query, docno, feedback=chosen, filter=joined(filters or []))
    if json:
        emit_json(explanation.as_json())
        return
    header = ["term", "channel", "query weight", "impact", "product", "share"]
    rows = [
        [t.token, t.channel, str(t.query_weight), str(t.impact), str(t.product), f"{t.share:.1%}"]
        for t in explanation.terms
    ]
    rows.append(["sum", "", "", "", str(explanation.integer_score), ""])
    print_table(f"{explanation.docno}: score {explanation.score:.6g}", header, rows)
    unmatched = ", ".join(explanation.unmatched)
    if unmatched:
        print(f"query terms the document does not hold: {unmatched}")
