import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("machines", "0004_visit"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Assist",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[("asked", "asked for"), ("offered", "offered"), ("break_glass", "without consent")],
                        max_length=12,
                        verbose_name="kind",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("taken", "taken"),
                            ("active", "active"),
                            ("ended", "ended"),
                            ("declined", "declined"),
                            ("expired", "expired"),
                            ("withdrawn", "withdrawn"),
                        ],
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("note", models.TextField(blank=True, verbose_name="note")),
                ("control", models.BooleanField(default=False, verbose_name="with control")),
                ("facts", models.JSONField(default=dict)),
                ("picture", models.BinaryField(null=True)),
                ("has_picture", models.BooleanField(default=False, editable=False)),
                ("picture_wanted", models.BooleanField(default=False, editable=False)),
                (
                    "created_at",
                    models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name="began"),
                ),
                ("taken_at", models.DateTimeField(null=True, verbose_name="taken")),
                ("active_at", models.DateTimeField(null=True, verbose_name="active since")),
                ("until", models.DateTimeField(null=True, verbose_name="until")),
                ("finished_at", models.DateTimeField(null=True, verbose_name="finished")),
                ("mail_due", models.BooleanField(default=False, editable=False)),
                ("version", models.PositiveBigIntegerField(default=1, editable=False)),
                (
                    "helper",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="assists_given",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="helper",
                    ),
                ),
                (
                    "machine",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="assists",
                        to="machines.machine",
                        verbose_name="machine",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="assists",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
                (
                    "visit",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="machines.visit",
                    ),
                ),
            ],
            options={
                "verbose_name": "assist",
                "verbose_name_plural": "assists",
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="AssistEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("asked", "asked for help"),
                            ("offered", "offered help"),
                            ("broke_glass", "broke the glass"),
                            ("taken", "took it"),
                            ("released", "gave it back"),
                            ("accepted", "consented"),
                            ("declined", "said no"),
                            ("withdrawn", "withdrew it"),
                            ("joined", "joined"),
                            ("ended", "ended it"),
                            ("expired", "it expired"),
                            ("right_gone", "a right was taken away"),
                            ("limit", "its time was up"),
                            ("mailed", "the owner was told by mail"),
                        ],
                        max_length=12,
                        verbose_name="what",
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="when")),
                ("detail", models.JSONField(default=dict)),
                (
                    "assist",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="events",
                        to="assist.assist",
                        verbose_name="assist",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="by",
                    ),
                ),
            ],
            options={
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="ChatMessage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", models.TextField(verbose_name="text")),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="when")),
                (
                    "assist",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="messages",
                        to="assist.assist",
                        verbose_name="assist",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="by",
                    ),
                ),
            ],
            options={
                "verbose_name": "message",
                "verbose_name_plural": "messages",
                "ordering": ["pk"],
            },
        ),
        migrations.AddIndex(
            model_name="assist",
            index=models.Index(
                condition=models.Q(("state__in", ("waiting", "taken", "active"))),
                fields=["state"],
                name="assist_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="assist",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("state__in", ("waiting", "taken", "active")),
                    models.Q(("kind", "break_glass"), _negated=True),
                ),
                fields=("machine",),
                name="one_open_assist_for_each_machine",
            ),
        ),
        migrations.AddConstraint(
            model_name="assist",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "break_glass"), ("state__in", ("waiting", "taken", "active"))),
                fields=("machine", "helper"),
                name="one_broken_glass_for_each_helper",
            ),
        ),
    ]
