"""Metrics as a strict reader of OpenMetrics understands them: by family its kind, unit, help, and the labels that it has."""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

families = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.name not in families, f"{family.name} twice"
    labels = {label for sample in family.samples for label in sample.labels if label not in ("le", "quantile")}
    families[family.name] = {"kind": family.type, "unit": family.unit, "help": family.documentation, "labels": sorted(labels)}
json.dump(families, sys.stdout)
