"""Answers the picture that went with a request for help."""

from __future__ import annotations

from django.http import HttpResponse

from assist.models import Assist


def picture_answer(assist: Assist) -> HttpResponse:
    """Answer the picture to whom the assist was fetched for; 204 when there is none. No cache keeps it."""
    image = Assist.objects.filter(pk=assist.pk).values_list("picture", flat=True).first()
    answer = HttpResponse(bytes(image), content_type="image/webp") if image else HttpResponse(status=204)
    answer["Cache-Control"] = "no-store"
    return answer
