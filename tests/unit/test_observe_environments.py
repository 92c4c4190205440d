"""Which environments a shell command names: read from the real words, `*` where a deploying part names none."""

from pathlib import Path

import pytest

from handfast.observe.shell import shell_facts
from tests.unit.observed_ground import build

NAMED = [
    # a client's own selector, also where it only looks
    ("kubectl --context prod apply -f x.yaml", ("prod",)),
    ("kubectl --context=prod get pods", ("prod",)),
    ("kubectl get pods", ()),
    ("sudo kubectl --context staging delete pod x", ("staging",)),
    ("bash -c 'kubectl --context staging delete pod x'", ("staging",)),
    ("helm upgrade --kube-context staging shop ./chart", ("staging",)),
    ("TF_WORKSPACE=staging terraform apply", ("staging",)),
    ("AWS_PROFILE=prod aws s3 ls", ("prod",)),
    ("aws --profile prod ecs update-service --service x", ("prod",)),
    ("heroku ps -a shop-staging", ("shop-staging",)),
    ("vercel deploy --prod", ("production", "prod")),
    ("pulumi up -s dev", ("dev",)),
    ("ansible-playbook -i inventories/production site.yml", ("production",)),
    ("docker --context prod service update web", ("prod",)),
    ("docker run -c 512 web", ()),
    # what has no selector of its own: an option, a variable, a word that names a stage
    ("cap production deploy", ("production",)),
    ("RAILS_ENV=staging bundle exec rails db:migrate", ("staging",)),
    ("env RAILS_ENV=staging rails db:migrate", ("staging",)),
    ("./deploy.sh staging", ("staging",)),
    ("./deploy.sh --env eu-7", ("eu-7",)),
    # a namespace, an account behind an exported variable, a default: none of them is told
    ("kubectl -n staging apply -f x.yaml", ("staging", "*")),
    ("kubectl apply -f x.yaml", ("*",)),
    ('kubectl --context "$TARGET" apply -f x.yaml', ("*",)),
    ("terraform apply -var-file=prod.tfvars", ("prod", "*")),
    ("TF_WORKSPACE=staging; terraform apply", ("*",)),
    ("./deploy.sh", ("*",)),
    ("kubectl --context staging apply -f a && kubectl apply -f b", ("staging", "*")),
    # building for a stage touches none
    ("NODE_ENV=production npm run build", ()),
    ("pytest -q", ()),
]


@pytest.mark.parametrize(("command", "named"), NAMED, ids=[command for command, _ in NAMED])
def test_the_environments_of_a_command(
    command: str, named: tuple[str, ...], tmp_path: Path
) -> None:
    assert shell_facts(command, build(tmp_path)).environments == named


def test_what_a_script_of_the_worktree_deploys_counts(tmp_path: Path) -> None:
    scope = build(tmp_path)
    (scope.worktree / "go.sh").write_text("#!/bin/bash\nkubectl --context prod apply -f x\n")
    assert shell_facts("./go.sh", scope).environments == ("prod",)
