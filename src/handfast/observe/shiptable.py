"""The table of programs whose sub-commands publish, deploy, migrate, delete data or hand out credentials.

One table: programs, a pattern over the words that are not options, the hazard, and what to say. The first
pattern that fits decides; `READ` marks sub-commands that only look.
"""

import re
from dataclasses import dataclass

READ = ""


@dataclass(frozen=True, slots=True)
class Entry:
    pattern: re.Pattern[str]
    hazard: str
    sentence: str


def entry(pattern: str, hazard: str, sentence: str) -> Entry:
    return Entry(re.compile(rf"(?:^|\s)(?:{pattern})(?=\s|$)", re.IGNORECASE), hazard, sentence)


_PUBLISH = "publishes a package"
DEPLOY = "changes running systems"
_MIGRATE = "migrates a database"
FORGE = "changes the forge"
_CREDENTIALS = "prints credentials"
_REMOTE_KUBERNETES = (
    "apply|create|delete|replace|patch|edit|scale|autoscale|rollout (?:restart|undo|pause|resume)|set|label|annotate"
    "|drain|cordon|uncordon|taint|run|expose|cp|attach|debug|certificate|port-forward|proxy|auth reconcile"
)

# A whole program, whatever it is asked.
WHOLE: dict[str, tuple[str, str]] = {
    "serverless": ("deploy", DEPLOY),
    "sls": ("deploy", DEPLOY),
    "ansible-playbook": ("deploy", DEPLOY),
    "ansible": ("deploy", DEPLOY),
    "semantic-release": ("publish", "publishes a release"),
    "release-it": ("publish", "publishes a release"),
    "goreleaser": ("publish", "publishes a release"),
    "np": ("publish", "publishes a release"),
    "gh-pages": ("publish", "publishes pages"),
    "rclone": ("net.send", "copies files to another host"),
    "dropdb": ("sql.destructive", "drops a database"),
    "dropuser": ("sql.destructive", "drops a database user"),
    "pg_restore": ("sql.destructive", "overwrites a database"),
    "yoyo-migrate": ("db.migrate", _MIGRATE),
    "secret-tool": ("secret.access", _CREDENTIALS),
    "pass": ("secret.access", _CREDENTIALS),
    "pg_dropcluster": ("sql.destructive", "drops a database cluster"),
    "mongorestore": ("sql.destructive", "overwrites a database"),
    "mongoimport": ("sql.destructive", "changes a database"),
    "kafka-delete-records.sh": ("sql.destructive", "deletes records"),
}

TABLE: dict[str, tuple[Entry, ...]] = {}


def _add(programs: str, *entries: tuple[str, str, str]) -> None:
    for program in programs.split():
        TABLE[program] = TABLE.get(program, ()) + tuple(entry(*each) for each in entries)


_add(
    "npm pnpm yarn bun lerna",
    (
        "publish|unpublish|deprecate|dist-tag (?:add|rm)|access|owner (?:add|rm)|npm publish|token",
        "publish",
        _PUBLISH,
    ),
)
_add(
    "npx bunx uvx",
    (
        "(?:np|semantic-release|release-it|changeset publish|vsce publish|ovsx publish)",
        "publish",
        _PUBLISH,
    ),
)
_add("lerna auto", ("version|shipit|release", "publish", "publishes a release"))
_add("changeset vsce ovsx", ("publish", "publish", _PUBLISH))
_add("dart flutter swift", ("pub publish|package-registry publish", "publish", _PUBLISH))
_add(
    "sbt lein stack cabal luarocks ko mkdocs",
    ("publish\\w*|deploy|upload|gh-deploy", "publish", _PUBLISH),
)
_WORDPRESS = r"db (?:reset|drop|clean|import)|sql-?(?:drop|cli|query)|\S+ delete"
_add("wp drush", (_WORDPRESS, "sql.destructive", "deletes data"))
_add("helmfile sst", ("apply|sync|destroy|delete|deploy|remove", "deploy", DEPLOY))
_add("twine", ("upload|register", "publish", _PUBLISH))
_add("cargo", ("publish|yank|owner", "publish", _PUBLISH), ("release", "publish", _PUBLISH))
_add("gem", ("push|yank|owner", "publish", _PUBLISH))
_add("poetry uv flit hatch pdm rye maturin", ("publish|upload", "publish", _PUBLISH))
_add("setup.py", ("upload|register", "publish", _PUBLISH))
_add(
    "docker podman buildah nerdctl",
    ("push|manifest push|image push|login|trust sign", "publish", "pushes an image to a registry"),
    (
        "(?:volume|system|image|container|builder|buildx|network) prune|volume rm|system prune",
        "fs.write-outside",
        "deletes container data",
    ),
    (
        "stack (?:deploy|rm|down)|service (?:create|update|rm|scale)|context use|\\Aswarm|\\Anode",
        "deploy",
        DEPLOY,
    ),
)
_add(
    "skopeo crane oras",
    ("copy|cp|push|delete|tag|mutate|append", "publish", "pushes an image to a registry"),
)
_add("mvn mvnw", ("deploy|release:perform|.*:deploy", "publish", _PUBLISH))
_add(
    "gradle gradlew",
    ("(?:.*:)?publish\\w*|uploadArchives|closeAndRelease\\w*", "publish", _PUBLISH),
)
_add(
    "dotnet",
    ("nuget push|nuget delete", "publish", _PUBLISH),
    ("ef (?:database|migrations)", "db.migrate", _MIGRATE),
)
_add("nuget", ("push|delete", "publish", _PUBLISH))
_add(
    "mix",
    ("hex.publish", "publish", _PUBLISH),
    ("ecto\\.(?:migrate|rollback|drop|reset|setup)", "db.migrate", _MIGRATE),
)
_add("pod", ("trunk", "publish", _PUBLISH))
_add("conda anaconda", ("upload", "publish", _PUBLISH))
_add("fastlane", ("release|deliver|pilot|supply|beta|upload_\\w+", "publish", _PUBLISH))
_add("eas expo", ("submit|publish|update", "publish", _PUBLISH))
_add(
    "helm",
    (
        "list|ls|get|status|history|template|lint|show|search|version|env|dependency|repo (?:list|add|update)",
        READ,
        "",
    ),
    ("install|upgrade|uninstall|delete|rollback|push|test", "deploy", DEPLOY),
)
_add(
    "kubectl oc k k9s kustomize",
    ("get secrets?(?:/\\S+)?", "secret.access", _CREDENTIALS),
    (
        "get|describe|logs|explain|top|version|api-resources|api-versions|cluster-info|config (?:view|get-\\w+|current-context)|diff|wait|auth can-i|build|events",
        READ,
        "",
    ),
    (_REMOTE_KUBERNETES, "deploy", DEPLOY),
    ("exec", "deploy", "runs a command in the cluster"),
)
_add(
    "terraform tofu terragrunt",
    (
        "apply|destroy|import|taint|untaint|state (?:rm|mv|push|replace-provider)|force-unlock|run-all|workspace (?:new|delete)|login",
        "deploy",
        DEPLOY,
    ),
    ("console|output|state pull", "secret.access", "prints infrastructure state"),
)
_add(
    "pulumi",
    (
        "up|update|destroy|refresh|import|cancel|state|stack (?:rm|import|init)|watch",
        "deploy",
        DEPLOY,
    ),
    ("stack export|config get", "secret.access", _CREDENTIALS),
)
_add(
    "cdk sam copilot chalice zappa",
    (
        "deploy|destroy|bootstrap|sync|delete|update|rollback|undeploy|init|import",
        "deploy",
        DEPLOY,
    ),
)
_add(
    "fly flyctl heroku railway render netlify vercel now wrangler firebase firebase-tools dokku cf eb gcloud-deploy kamal cap nomad doctl modal surge amplify supabase",
    (
        "logs|status|list|ls|ps|version|whoami|info|apps?:info|releases|dev|build|validate|projects:list|inspect|get",
        READ,
        "",
    ),
    ("db (?:push|reset)|migration up|migrations apply|d1 migrations apply", "db.migrate", _MIGRATE),
    ("config(?::get)?|secrets?|env|auth token|auth:token", "secret.access", _CREDENTIALS),
    (".*", "deploy", DEPLOY),
)
_add("vercel netlify now railway kamal", ("$", "deploy", DEPLOY))
_add(
    "aws",
    (
        "configure get|secretsmanager get-secret-value|ssm get-parameters?\\S*|sts (?:get-session-token|assume-role)|ecr get-login\\S*|iam create-access-key|configure export-credentials",
        "secret.access",
        _CREDENTIALS,
    ),
    (
        "\\S+ (?:describe|list|get|head|lookup|search|filter|batch-get|ls|wait|tail|estimate|validate|view|scan|query)\\S*|help|sts \\S+|configure list\\S*|s3 ls|logs tail",
        READ,
        "",
    ),
    (".*", "deploy", DEPLOY),
)
_add(
    "gcloud",
    (
        "secrets versions access|auth print-\\S+|auth application-default print-\\S+",
        "secret.access",
        _CREDENTIALS,
    ),
    (
        ".*\\b(?:list|describe|info|version|get-value|get-iam-policy|read|tail|help|print-settings)\\b.*",
        READ,
        "",
    ),
    (".*", "deploy", DEPLOY),
)
_add("gsutil", ("ls|cat|du|stat|hash|version", READ, ""), (".*", "deploy", DEPLOY))
_add(
    "az",
    (
        "keyvault secret (?:show|download)|account get-access-token|.*\\b(?:list-keys|keys list|show-connection-string)\\b.*",
        "secret.access",
        _CREDENTIALS,
    ),
    (".*\\b(?:list|show|version|get\\S*|find|help)\\b.*", READ, ""),
    (".*", "deploy", DEPLOY),
)
_add("bq", ("ls|show|head|version|help|query", READ, ""), (".*", "deploy", DEPLOY))
_add(
    "gh",
    ("auth token|auth status .*", "secret.access", _CREDENTIALS),
    ("release (?:create|upload|delete|edit)", "publish", "publishes a release"),
    (
        "(?:pr|issue|release|run|workflow|repo|gist|label|search|cache|ruleset|project|org|secret|variable) (?:view|list|status|diff|checks|watch|download|ls|issues|prs|code|commits|repos)|status|auth status|version|help|browse|repo clone|gist clone|pr checkout|api",
        READ,
        "",
    ),
    (".*", "forge.write", FORGE),
)
_add(
    "glab hub tea",
    ("release (?:create|upload|delete)", "publish", "publishes a release"),
    (
        "(?:mr|issue|ci|repo|release|pr|pipeline) (?:view|list|status|diff|show|trace)|version|help",
        READ,
        "",
    ),
    (".*", "forge.write", FORGE),
)
_add("alembic", ("upgrade|downgrade|stamp", "db.migrate", _MIGRATE))
_add(
    "manage.py django-admin",
    ("migrate|flush|reset_db|sqlflush|loaddata|dbshell", "db.migrate", _MIGRATE),
    ("collectstatic", "deploy", "publishes static files"),
)
_add("flask quart", ("db (?:upgrade|downgrade|stamp)", "db.migrate", _MIGRATE))
_add("aerich", ("upgrade|downgrade", "db.migrate", _MIGRATE))
_add(
    "rails rake",
    (
        "db:(?:migrate\\S*|rollback|drop|reset|schema:load|setup|seed:replant|truncate_all|purge)",
        "db.migrate",
        _MIGRATE,
    ),
)
_add(
    "prisma",
    ("migrate (?:deploy|reset|dev|resolve)|db (?:push|execute|seed)", "db.migrate", _MIGRATE),
)
_add(
    "npx bunx",
    (
        "prisma (?:migrate (?:deploy|reset|dev|resolve)|db push)|knex migrate:\\S+|sequelize(?:-cli)? db:\\S+|typeorm migration:\\S+|drizzle-kit (?:push|migrate)",
        "db.migrate",
        _MIGRATE,
    ),
)
_add("flyway", ("migrate|clean|baseline|repair|undo", "db.migrate", _MIGRATE))
_add(
    "liquibase",
    ("update\\S*|rollback\\S*|drop-?all|dropAll|change-?log-sync\\S*", "db.migrate", _MIGRATE),
)
_add("knex", ("migrate:(?:latest|up|down|rollback)|seed:run", "db.migrate", _MIGRATE))
_add("sequelize sequelize-cli", ("db:(?:migrate\\S*|drop|seed\\S*)", "db.migrate", _MIGRATE))
_add("typeorm", ("migration:(?:run|revert)|schema:(?:sync|drop)", "db.migrate", _MIGRATE))
_add("drizzle-kit", ("push|migrate|drop", "db.migrate", _MIGRATE))
_add(
    "goose dbmate migrate sql-migrate tern",
    (
        ".*\\b(?:up\\S*|down\\S*|drop|reset|redo|force|goto|migrate|rollback)\\b.*",
        "db.migrate",
        _MIGRATE,
    ),
)
_add("atlas", ("schema apply|schema clean|migrate (?:apply|down)", "db.migrate", _MIGRATE))
_add(
    "sqlx diesel sea-orm-cli",
    (
        "(?:migrate|migration|database) (?:run|revert|redo|drop|reset|setup|fresh|up|down|refresh)",
        "db.migrate",
        _MIGRATE,
    ),
)
_add(
    "artisan php",
    ("(?:\\S*artisan )?(?:migrate\\S*|db:wipe)", "db.migrate", _MIGRATE),
    (
        "\\S*console doctrine:(?:migrations:migrate|schema:(?:drop|update)|database:drop)",
        "db.migrate",
        _MIGRATE,
    ),
)
_add("sqitch", ("deploy|revert|rebase", "db.migrate", _MIGRATE))
_add("yoyo", ("apply|rollback|reapply", "db.migrate", _MIGRATE))
_add(
    "redis-cli valkey-cli",
    (
        "flushall|flushdb|shutdown|config set|del|unlink|eval|script|debug|restore|migrate|replicaof|slaveof",
        "sql.destructive",
        "deletes data",
    ),
)
_add(
    "vault",
    ("read|kv get|print token|token create|login", "secret.access", _CREDENTIALS),
    (
        "secrets disable|auth disable|write|kv (?:put|delete|destroy|patch)|delete|policy write",
        "deploy",
        DEPLOY,
    ),
)
_add(
    "op bw lpass keyring",
    ("read|get|item get|show|export|document get", "secret.access", _CREDENTIALS),
)
_add("security", ("find-\\S+password|dump-keychain|export", "secret.access", _CREDENTIALS))
_add("gpg gpg2", (".*", READ, ""))
# Services with a client of their own. What they delete is gone for everybody.
_add(
    "consul etcdctl linode-cli hcloud aliyun oci ibmcloud eksctl kops argocd flux istioctl rabbitmqctl rabbitmqadmin"
    " kafka-topics kafka-topics.sh kafka-configs.sh vagrant virsh multipass minikube kind k3d lxc incus nerdctl kcadm.sh"
    " scw exo upctl okteto crossplane velero restic borg",
    (
        ".*\\b(?:\\w*[Dd]elete\\w*|destroy|undefine|uninstall|terminate|del|rm|reset|purge|forget|prune|stop_app|remove)\\b.*",
        "deploy",
        DEPLOY,
    ),
)
_add(
    "docker docker-compose podman nerdctl",
    (
        "(?:container |image )?(?:rm|rmi)|system reset|compose rm|image rm",
        "fs.write-outside",
        "deletes container data",
    ),
    ("(?:container )?kill|compose kill", "process.kill", "ends containers"),
)
_add(
    "mysqladmin",
    ("drop|shutdown|kill|flush-\\w+", "sql.destructive", "drops a database"),
)
_CLIENT_SQL = ".*\\b(?:drop|delete|truncate|alter|update|revoke|grant|flush\\w*|detach)\\b.*"
_add(
    "mycli litecli pgcli impala-shell hive beeline trino presto spark-sql cypher-shell neo4j-admin influx osql isql",
    (_CLIENT_SQL, "sql.destructive", "deletes or changes data"),
)
_add("mongosh mongo", (".*\\.js\\b.*", "sql.destructive", "runs a script on a database"))
_add("sqlplus isql", (".*@\\S+", "sql.destructive", "runs a script on a database"))
_add(
    "hg",
    (
        "strip|purge|revert|rollback|histedit|prune|push",
        "git.history-rewrite",
        "loses or moves changes",
    ),
)
_add("svn", ("revert|delete|rm|cleanup|commit|ci", "git.history-rewrite", "loses or sends changes"))
_add(
    "jj",
    (
        "abandon|op(?:eration)? restore|undo|restore|git push|squash",
        "git.history-rewrite",
        "loses or moves changes",
    ),
)
_add(
    "pm2 supervisorctl nginx apachectl apache2ctl httpd",
    ("delete|kill|stop|shutdown|quit|graceful-stop", "host.control", "stops services"),
)
_add("hdfs hadoop", (".*", "deploy", "changes a cluster's files"))
_add("s3cmd mc b2 ossutil s5cmd", ("del|rm|rb|mv|sync|mirror|delete\\S*|expire", "deploy", DEPLOY))
_add("zkCli.sh memcached-tool", (".*\\b(?:rmr|delete\\w*|flush_all)\\b.*", "deploy", DEPLOY))
_add("fab inv invoke doit", ("deploy\\S*|release\\S*|publish\\S*", "deploy", DEPLOY))
