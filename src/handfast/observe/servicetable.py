"""More of the table of `shiptable`: services and clients of which a few words tell, and options that ask for credentials.

Each program's entries here are asked before those of `shiptable`.
"""

import re

from handfast.observe.options import names
from handfast.observe.shiptable import DEPLOY, TABLE, WHOLE, Entry, entry

_SENDS = "sends something to a service"
_OPENS = "opens this machine or its network to others"

PROGRAMS: dict[str, tuple[str, str]] = {
    **WHOLE,
    **dict.fromkeys(
        names(
            "ngrok cloudflared lt localtunnel bore chisel frpc frps zrok devtunnel sshuttle openvpn wg-quick pagekite"
            " inlets rathole"
        ),
        ("net.send", _OPENS),
    ),
    **dict.fromkeys(
        names(
            "swaks mosquitto_pub slack-cli ssh-copy-id elasticdump tftp ncftpput kcat kafkacat s-nail transfer.sh wormhole magic-wormhole croc keybase"
        ),
        ("net.send", _SENDS),
    ),
    **dict.fromkeys(
        names(
            "chef-client chef-solo knife salt salt-ssh salt-call ecs-cli packer puppet-agent capistrano kubeadm"
        ),
        ("deploy", DEPLOY),
    ),
    "bfg": ("git.history-rewrite", "rewrites the history"),
    "createuser": ("sql.privilege", "makes a database user"),
    "pg_resetwal": ("sql.destructive", "throws away a database's log"),
    "trash-empty": ("fs.write-outside", "deletes for good"),
    "kwallet-query": ("secret.access", "prints credentials"),
}

ENTRIES: dict[str, tuple[Entry, ...]] = dict(TABLE)


def _add(programs: str, *entries: tuple[str, str, str]) -> None:
    for program in programs.split():
        ENTRIES[program] = tuple(entry(*each) for each in entries) + ENTRIES.get(program, ())


_add("helm", ("secrets (?:decrypt|view|edit)", "secret.access", "prints credentials"))
_add(
    "aws",
    (
        "sts get-federation-token|iam create-service-specific-credential|lightsail download-default-key-pair",
        "secret.access",
        "prints credentials",
    ),
)
_add("docker podman nerdctl", ("imagetools create", "publish", "pushes an image to a registry"))
_add("ipfs", ("add|pin|name publish|files (?:rm|write|mv)", "net.send", _SENDS))
_add(
    "kaggle huggingface-cli hf wandb",
    (
        r".*\b(?:create|version|push|upload\S*|put|delete\S*|submit|repo)\b.*",
        "publish",
        "sends data to a service",
    ),
)
_add("istioctl linkerd cilium", ("install|uninstall|upgrade|hubble enable", "deploy", DEPLOY))
_add("dvc", ("push|gc|destroy", "publish", "sends or deletes data"))
_add("consul", ("leave|force-leave", "deploy", DEPLOY))
_add("skaffold", ("run|dev|delete|deploy|apply", "deploy", DEPLOY))
_add("tilt", ("up|down|ci|trigger", "deploy", DEPLOY))
_add("argocd", (r"\w+ (?:sync|set|create|add|rollback|patch|unset|terminate-op)", "deploy", DEPLOY))
_add("flux", ("suspend|resume|reconcile|bootstrap|create", "deploy", DEPLOY))
_add(
    "vault",
    (
        r"operator (?:seal|unseal|init|rotate|rekey|raft|step-down)|(?:lease|token) (?:revoke|renew)|audit \w+|namespace \w+",
        "deploy",
        DEPLOY,
    ),
)
_add(
    "kubectl oc k",
    (r"get (?:\S+ )*?(?:\S+,)?secrets?(?:[/,]\S*)?", "secret.access", "prints credentials"),
    (
        r"config (?:set\S*|delete-\S+|unset|rename-context)|krew \w+|adm \S+|new-\w+|policy \S+|start-build|import-image",
        "deploy",
        DEPLOY,
    ),
)
_add(
    "docker podman nerdctl",
    ("plugin (?:install|enable|set)", "priv.sudo", "gives a plug-in rights over this machine"),
)
_add(
    "s3cmd s4cmd mc b2 ossutil s5cmd obsutil",
    (r"put|cp|mb|pipe|upload\S*|del|rm|rb|mv|sync|mirror", "deploy", DEPLOY),
)
_add("az", ("aks get-credentials|acr login", "secret.access", "fetches credentials"))
_add("hcloud", (r".*\b(?:rebuild|poweroff|shutdown|reset\S*|change-\S+)\b.*", "deploy", DEPLOY))
_add("lxc incus multipass", ("stop|restart|snapshot|restore|launch|move|publish", "deploy", DEPLOY))
_add("consul etcdctl", ("kv put|put|txn|snapshot restore|member (?:add|remove)", "deploy", DEPLOY))
_add(
    "sentry-cli",
    (r"releases (?:new|finalize|delete|deploys)\b.*|.*\bupload\S*|sourcemaps.*", "deploy", DEPLOY),
)
_add("tailscale", ("up|down|set|login|logout|serve|funnel|switch|drive|file", "net.send", _OPENS))
_add(
    "stripe twilio sendgrid slack pagerduty pd opsgenie",
    (r".*\b(?:create|update|delete|remove|cancel|capture|send|resolve)\b.*", "net.send", _SENDS),
)
_add("cast forge", (r"\A(?:send|publish|create|rpc)", "deploy", DEPLOY))
_add("puppet", ("apply|agent|resource|node", "deploy", DEPLOY))
_add("cosign notation", ("sign|attest|attach|copy", "publish", "signs or pushes to a registry"))
_add("ko", ("apply|create|delete|resolve|build", "publish", "publishes an image"))
_add(
    "mvn mvnw",
    (
        r"\S*jib\S*:(?:build|\S*push)|wagon:\S+|\S*:release\b.*|nexus-staging:\S+",
        "publish",
        "publishes a package",
    ),
    (
        r"(?:flyway|liquibase|sql):(?:clean|migrate|update\S*|drop\S*|rollback\S*|undo|repair|execute)",
        "db.migrate",
        "migrates a database",
    ),
)
_add(
    "gradle gradlew",
    (r"\S*[uU]pload\w*|jib|\S*[dD]eploy\w*|release", "publish", "publishes a package"),
    (r"(?:\S*:)?(?:flyway(?!Info|Validate)\w+|liquibase\w+)", "db.migrate", "migrates a database"),
)
_add(
    "adb",
    (
        "uninstall|reboot|root|push|sideload|restore|shell (?:pm|reboot|wipe|settings|svc)",
        "host.control",
        "changes a device",
    ),
)
_add(
    "VBoxManage",
    (r"unregistervm|closemedium|controlvm|modifyvm|snapshot", "host.control", "changes a machine"),
)
_add(
    "rails", ("credentials:\\S+|secrets:\\S+|encrypted:\\S+", "secret.access", "prints credentials")
)
_add(
    "security",
    (r"delete-\S+|add-\S+|import|authorizationdb|set-\S+", "host.control", "changes the keychain"),
)
_add(
    "conda mamba micromamba",
    ("env (?:remove|update)", "fs.write-outside", "deletes an environment"),
)
_add(
    "keydb-cli dragonfly-cli valkey-cli redis-cli",
    (
        r"(?:acl|function|module|client|cluster|failover|swapdb|rename|flush\w*|shutdown|config|del|unlink|eval|script|restore|migrate|replicaof)\b.*",
        "sql.destructive",
        "deletes or changes data",
    ),
)
_add("memcached-tool", (r".*\bflush\w*", "deploy", DEPLOY))
_add("dolt", ("reset|push|gc|branch -d|checkout", "sql.destructive", "deletes or sends data"))
_add(
    "dolt snow neonctl turso mysqlsh psqlrc ydb cbq couchbase-cli aerospike aql cockroach",
    (
        r".*\b(?:drop|delete|truncate|alter|update|revoke|grant|flush\w*|detach)\b.*",
        "sql.destructive",
        "deletes or changes data",
    ),
)
_add(
    "airflow superset",
    (
        r"db (?:reset|clean|downgrade|upgrade)|tasks clear|(?:dags|pools|connections|variables|users) delete",
        "db.migrate",
        "changes what is scheduled or stored",
    ),
)
_add("dbt", ("run-operation|clone", "sql.destructive", "runs statements on a database"))
_add(
    "hasura",
    (
        r"(?:metadata|migrate|seed) (?:clear|apply|delete|squash)",
        "db.migrate",
        "migrates a database",
    ),
)
_add("rq celery sidekiqctl forever", (r".*\b(?:empty|purge|stop\w*|quiet)\b.*", "deploy", DEPLOY))
_add(
    "npm pnpm yarn",
    (
        r"(?:\A|npm )(?:login|logout|adduser|add-user)|config (?:set|delete|rm)|\Aset",
        "host.control",
        "changes who publishes or where packages come from",
    ),
)
_add("cargo", (r"\A(?:login|logout)", "host.control", "changes who publishes"))
_add(
    "pip pip3", (r"\Aconfig (?:set|unset|edit)", "host.control", "changes where packages come from")
)
_add("gem", (r"signin|signout", "host.control", "changes where packages come from"))
_add(
    "brew",
    (
        r"\A(?:tap|untap)|services (?:start|stop|restart|run|kill|cleanup)",
        "host.control",
        "changes the machine",
    ),
)
_add(
    "apt-key nix-channel add-apt-repository apt-add-repository",
    (".*", "host.control", "changes where packages come from"),
)
_add(
    "gsettings dconf xfconf-query kwriteconfig5",
    ("set|write|reset|load|import|.*-s.*", "host.control", "changes settings"),
)
_add(
    "rustup nvm fnm volta pyenv rbenv asdf sdk mise choco winget scoop guix",
    (
        r"(?:self |toolchain |target )?(?:uninstall|remove|delete|rm)\b.*",
        "host.control",
        "takes programs off the machine",
    ),
)
_add("nats", (r"\w+ (?:rm|purge|del|delete|edit|pub)\b.*|pub", "deploy", DEPLOY))
_add("zookeeper-shell zookeeper-shell.sh", (r".*\b(?:rmr|delete\w*|set)\b.*", "deploy", DEPLOY))

_PRINTS = ("secret.access", "prints credentials")
_LOSES = ("fs.write-outside", "deletes for good")
# Options that say what the sub-command does not: program, what to look for in the words as they stand, what it means.
_OPTIONS: dict[str, tuple[tuple[str, tuple[str, str]], ...]] = {
    "kubectl": ((r"config view\b.*--raw|--raw[ =]\S*secrets", _PRINTS),),
    "gh": ((r"auth status\b.*\s(?:-\w*t|--show-token)", _PRINTS),),
    "pulumi": ((r"--show-secrets", _PRINTS),),
    "npm": (
        (r"config (?:get|list|ls)\b.*(?:_auth|token|\s-l\b|--long|--json)|\bget\b.*_auth", _PRINTS),
    ),
    "gpg": (
        (r"--export-secret\S*|(?:^|\s)(?:-\w*d|--decrypt)(?=\s|$)", _PRINTS),
        (r"--(?:\w+-)*delete-\S+", _LOSES),
    ),
    "age": ((r"(?:^|\s)(?:-d|--decrypt)(?=\s|$)", _PRINTS),),
    "ansible-vault": ((r"view|decrypt|edit", _PRINTS),),
    "conda": ((r"remove\b.*--all", _LOSES),),
    "hg": (
        (
            r"(?:update|up|checkout|co)\b.*\s(?:-C|--clean)",
            ("git.history-rewrite", "loses changes"),
        ),
    ),
    "gem": (
        (
            r"sources\b.*\s(?:-a|-r|-c|--add|--remove|--clear-all)",
            ("host.control", "changes where packages come from"),
        ),
    ),
    "gio": ((r"^(?:trash|remove)\b", _LOSES),),
    "fuser": (
        (r"^(?!.*\d+/(?:tcp|udp)).*(?:^|\s)-\w*k", ("process.kill", "ends whatever uses a folder")),
    ),
}
_ALIKE = {
    "oc": "kubectl",
    "k": "kubectl",
    "gpg2": "gpg",
    "mamba": "conda",
    "pnpm": "npm",
    "yarn": "npm",
}
_COMPILED = {
    name: tuple((re.compile(pattern), said) for pattern, said in rows)
    for name, rows in _OPTIONS.items()
}


def by_options(program: str, texts: list[str]) -> list[tuple[str, str]]:
    """Hazards, each with a sentence, that a program's options stand for."""
    rows = _COMPILED.get(_ALIKE.get(program, program), ())
    words = " ".join(texts) if rows else ""
    return [said for pattern, said in rows if pattern.search(words)]
