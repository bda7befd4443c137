"""Pages of bulk operations: asking many machines at once, and what became of each."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from lifecycle import bulk
from lifecycle.bulk_page import Question, ResultPage
from lifecycle.page_requests import next_page, user_of
from machines.refused import Refused


@require_POST
@login_required
def ask(request: HttpRequest) -> HttpResponse:
    """Ask an operation of the ticked machines, or of all that match; what needs an answer first is a page."""
    back = next_page(request, reverse("lifecycle:machines"))
    try:
        question = Question.of(request)
        if question.open:
            return render(request, "lifecycle/bulk_confirm.html", {"question": question, "next": back})
        asked = bulk.ask(question.kind.name, question.machines, by=user_of(request), parameters={})
    except Refused as refused:
        messages.error(request, refused.sentence)
        return redirect(back)
    return redirect(asked)


@never_cache
@require_safe
@login_required
def results(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one result for each machine, to who asked and to administrators."""
    found = bulk.bulk_or_404(request.user, pk)
    return render(request, "lifecycle/bulk.html", {"page": ResultPage(found, request.user)})
