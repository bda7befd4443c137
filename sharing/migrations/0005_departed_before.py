"""Who is disabled already has departed: nobody was told that a policy would be applied to their machines now."""

from django.conf import settings
from django.db import migrations
from django.utils import timezone

AT_ONCE = 1000


def keep(apps, schema_editor):
    """Write of everybody who is disabled that their machines were kept, whatever the policy is."""
    Departure = apps.get_model("sharing", "Departure")
    disabled = apps.get_model("auth", "User").objects.filter(is_active=False)
    now = timezone.now()
    rows = (
        Departure(user_id=user, policy="keep", begun_at=now, done_at=now)
        for user in disabled.order_by("pk").values_list("pk", flat=True)
    )
    Departure.objects.bulk_create(rows, batch_size=AT_ONCE, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [
        ("sharing", "0004_departure"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(keep, migrations.RunPython.noop)]
