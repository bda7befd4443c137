"""Pages of hosts, for administrators; to everybody else they do not exist."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from lifecycle import host_tests, hosts_page
from lifecycle.page_requests import user_of
from machines.access import host_or_404, hosts_or_404


@never_cache
@require_safe
@login_required
def hosts(request: HttpRequest) -> HttpResponse:
    """Show every host."""
    return render(request, "lifecycle/hosts.html", {"views": hosts_page.all_of(hosts_or_404(request.user))})


@never_cache
@require_safe
@login_required
def host(request: HttpRequest, name: str) -> HttpResponse:
    """Show one host."""
    found = host_or_404(request.user, name=name)
    return render(request, "lifecycle/host.html", {"view": hosts_page.one(found)})


@require_POST
@login_required
def test_host(request: HttpRequest, name: str) -> HttpResponse:
    """Have the connection to a host tested; its page shows the result."""
    found = host_or_404(request.user, name=name)
    host_tests.request(found, user_of(request))
    return redirect("lifecycle:host", found.name)
