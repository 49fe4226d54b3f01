"""The Role that platform teams apply grants what a release does, neither more nor less."""

from pathlib import Path

import yaml

from clients.cluster_rights import RIGHTS

ROLE = Path(__file__).parents[2] / "deployment" / "kubernetes" / "role.yaml"


def test_the_role_grants_exactly_the_rights_that_doctor_asks_for() -> None:
    role = yaml.safe_load(ROLE.read_text())
    granted = [
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]
    asked = [(right.group, right.resource, verb) for right in RIGHTS for verb in right.verbs]
    assert sorted(granted) == sorted(asked)
    assert len(set(asked)) == len(asked)
