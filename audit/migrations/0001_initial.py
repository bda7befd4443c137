import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Batch",
            fields=[
                ("number", models.PositiveBigIntegerField(primary_key=True, serialize=False, verbose_name="number")),
                ("previous", models.CharField(max_length=64, verbose_name="hash of the one before")),
                ("sealed_at", models.DateTimeField(db_index=True, verbose_name="sealed")),
                ("count", models.PositiveIntegerField(verbose_name="entries")),
                ("leaves", models.TextField(verbose_name="digests")),
                ("hash", models.CharField(max_length=64, verbose_name="hash")),
                ("key", models.CharField(max_length=64, verbose_name="key")),
                ("signature", models.CharField(max_length=128, verbose_name="signature")),
            ],
            options={
                "verbose_name": "sealed batch",
                "verbose_name_plural": "sealed batches",
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("upto", models.PositiveBigIntegerField(unique=True, verbose_name="up to batch")),
                ("hash", models.CharField(max_length=64, verbose_name="hash of that batch")),
                ("sealed_at", models.DateTimeField(verbose_name="that batch was sealed")),
                ("count", models.PositiveBigIntegerField(verbose_name="entries removed")),
                ("made_at", models.DateTimeField(verbose_name="made")),
                ("key", models.CharField(max_length=64, verbose_name="key")),
                ("signature", models.CharField(max_length=128, verbose_name="signature")),
            ],
            options={
                "verbose_name": "checkpoint",
                "verbose_name_plural": "checkpoints",
                "ordering": ["-upto"],
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name="at")),
                ("kind", models.CharField(max_length=40, verbose_name="what")),
                ("who_id", models.BigIntegerField(null=True, verbose_name="user number")),
                ("who", models.CharField(blank=True, max_length=150, verbose_name="who")),
                (
                    "via",
                    models.CharField(
                        choices=[("page", "browser"), ("token", "API token"), ("portal", "the portal itself")],
                        default="portal",
                        max_length=8,
                        verbose_name="how",
                    ),
                ),
                ("address", models.GenericIPAddressField(null=True, verbose_name="from")),
                ("machine", models.UUIDField(null=True, verbose_name="machine's UUID")),
                ("machine_name", models.CharField(blank=True, max_length=255, verbose_name="machine")),
                ("detail", models.JSONField(default=dict, verbose_name="detail")),
                ("batch", models.PositiveBigIntegerField(null=True, verbose_name="batch")),
            ],
            options={
                "verbose_name": "entry of the trail",
                "verbose_name_plural": "audit trail",
                "ordering": ["-pk"],
                "indexes": [
                    models.Index(fields=["machine", "-id"], name="audit_of_machine"),
                    models.Index(fields=["who", "-id"], name="audit_of_person"),
                    models.Index(fields=["kind", "-id"], name="audit_of_kind"),
                    models.Index(fields=["batch", "id"], name="audit_of_batch"),
                ],
            },
        ),
    ]
