"""Programs that end processes or change the host."""

import re
from pathlib import Path

from handfast.core.domain.action import Effect
from handfast.observe.case import Case, Invocation
from handfast.observe.options import names, parse
from handfast.observe.variables import LAST_JOB
from handfast.observe.words import Word

# Command lines of ours, as `pkill -f` would see them, and program names, as `pkill` would.
_OUR_LINES = (
    "python -m handfast serve",
    "/usr/bin/python3 /usr/local/bin/handfast serve",
    "handfast serve",
    "handfast runner",
    "uvicorn handfast.server",
    "claude -p",
)
_OUR_NAMES = ("handfast", "python", "python3", "uvicorn", "claude", "node")


def kill(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    case.findings.headline(f"ends processes: `{call.shown}`")
    targets = _targets(call)
    for word in targets:
        text = word.text
        if text == LAST_JOB or text.startswith("%"):
            continue
        if re.fullmatch(r"\d+", text) and int(text) > 1:
            if case.on_disk and _is_ours(text):
                case.findings.hazard(
                    "control-plane", f"ends process {text}, which belongs to Handfast"
                )
        elif re.fullmatch(r"-?\d+", text):
            case.findings.hazard("process.kill", f"ends a whole group of processes: `{call.shown}`")
        else:
            _unknown_target(call, case, word.sources)


def _targets(call: Invocation) -> list[Word]:
    """Operands without the signal: `-9`, `-s KILL`, `-TERM`, and `--`."""
    words = call.args
    if words and words[0].text in {"-s", "-n", "--signal"}:
        words = words[2:]
    elif words and re.match(r"-(\d{1,2}|[A-Z]+)$", words[0].text):
        words = words[1:]
    elif words and words[0].text in {"-l", "-L"}:
        return []
    return [word for word in words if word.text != "--"]


def _is_ours(process: str) -> bool:
    """Whether a process runs Handfast, as far as the system tells."""
    try:
        line = (Path("/proc") / process / "cmdline").read_bytes()
    except OSError:
        return False
    return b"handfast" in line


def _unknown_target(call: Invocation, case: Case, sources: tuple[str, ...]) -> None:
    """`kill $(lsof -ti :3000)` is read as what stands in the substitution, which is examined by itself."""
    if any(
        source.rpartition("/")[2] in {"lsof", "jobs", "pgrep", "pidof", "fuser", "cat"}
        for source in sources
    ):
        case.findings.detail("ends the processes another command names")
    else:
        case.findings.hazard(
            "process.kill", f"ends processes that are only known when it runs: `{call.shown}`"
        )


def kill_by_name(call: Invocation, case: Case) -> None:
    """pkill, killall, pgrep: the pattern is tried on our own names and command lines."""
    looking = call.name in {"pgrep", "pidof"}
    if not looking:
        case.findings.at_least(Effect.EXEC)
        case.findings.headline(f"ends processes: `{call.shown}`")
    # A search matters only where its answer goes to something that kills.
    if looking and not call.simple.nested and not _feeds_kill(call):
        return
    full = any(re.match(r"-[a-zA-Z]*f", text) for text in call.texts)
    if not looking and any(
        re.match(r"-[uUGgtvsn]$|--(euid|uid|group|inverse)", t) for t in call.texts
    ):
        case.findings.hazard("process.kill", f"ends all processes of a kind: `{call.shown}`")
    for word in call.args:
        if word.is_option:
            continue
        if word.dynamic:
            case.findings.hazard(
                "process.kill", f"ends processes that are only known when it runs: `{call.shown}`"
            )
        elif "handfast" in word.text.lower():
            case.findings.hazard("control-plane", f"ends Handfast's own processes: `{call.shown}`")
        elif _would_hit(word.text, full=full, exact=call.name in {"killall", "pidof"}):
            case.findings.hazard(
                "process.kill", f"would also end Handfast or the agent: `{call.shown}`"
            )


def _feeds_kill(call: Invocation) -> bool:
    return call.simple.piped


def _would_hit(pattern: str, *, full: bool, exact: bool) -> bool:
    candidates = _OUR_LINES if full else _OUR_NAMES
    if exact:
        return pattern in _OUR_NAMES
    try:
        return any(re.search(pattern, line) for line in candidates)
    except re.error:
        return True


def port_users(call: Invocation, case: Case) -> None:
    """fuser and lsof name processes by port: ours must not be named to be killed."""
    text = " ".join(call.texts)
    for port in case.places.scope.protected_ports:
        if re.search(rf"(?<!\d){port}(?!\d)", text) and (
            call.name != "lsof" or call.simple.nested or call.simple.piped
        ):
            case.findings.hazard(
                "control-plane", f"looks for the process on Handfast's port {port} to end it"
            )
    if call.name == "fuser" and any(re.match(r"-[a-z]*k|--kill", word) for word in call.texts):
        case.findings.at_least(Effect.EXEC)
        case.findings.headline(f"ends processes: `{call.shown}`")


def host(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    harmless = {
        "status",
        "list-units",
        "show",
        "is-active",
        "is-enabled",
        "cat",
        "list-timers",
        "list",
        "print",
    }
    if call.name in {
        "crontab",
        "fdisk",
        "parted",
        "sfdisk",
        "gdisk",
        "update-alternatives",
        "losetup",
        "kextload",
        "ufw",
    }:
        harmless.add("-l")
    listing = (
        call.name == "mount" and not parse(call.args, "tOo").operands and "-a" not in call.texts
    )
    listing = listing or (call.name == "crontab" and "-l" in call.texts)
    if not listing and not harmless & set(call.texts[:2]):
        case.findings.hazard("host.control", f"changes the machine: `{call.shown}`")


# Package managers of the machine, and what takes something away from it.
_PACKAGES = names(
    "apt apt-get aptitude dpkg yum dnf rpm pacman apk zypper snap flatpak brew port emerge pkg xbps-remove nix-env nix-collect-garbage"
)
_REMOVES = re.compile(
    r"(remove|purge|erase|autoremove|uninstall|unmerge|del|delete|rm|cleanup|downgrade|zap|remove-essential"
    r"|-[a-zA-Z]*[RPre]\w*|--(remove|purge|erase|unmerge|uninstall|force-\S+))\Z"
)


def packages(call: Invocation, case: Case) -> None:
    """Installing is recorded; taking packages away is asked about."""
    case.findings.at_least(Effect.EXEC)
    case.findings.headline(f"runs `{call.shown}`")
    case.findings.detail(f"runs `{call.shown}`")
    dashed = call.name in {"dpkg", "rpm", "pacman", "emerge", "nix-env"}
    first = [text for text in call.texts if dashed or not text.startswith("-")][:1]
    named = call.name in {"xbps-remove", "nix-collect-garbage"} or (
        call.name == "emerge"
        and any(re.match(r"-[a-z]*[Cc]|--depclean", text) for text in call.texts)
    )
    if named or any(_REMOVES.match(text) for text in first):
        case.findings.hazard("host.control", f"takes packages off the machine: `{call.shown}`")


def signals(call: Invocation, case: Case) -> None:
    case.findings.at_least(Effect.EXEC)
    case.findings.hazard("process.kill", f"ends processes by a rule: `{call.shown}`")


_SETS = {
    "busctl": r"(call|set-property|emit)$",
    "gdbus": r"(call|emit)$",
    "hostname": r"[A-Za-z]|-F|-b",
    "date": r"-s|--set|\d{8,}$",
    "ip": r"(set|add|del|delete|flush|replace|change)$",
    "ifconfig": r"(up|down|netmask|mtu|add|del)$|\d+\.",
    "journalctl": r"--vacuum|--rotate|--flush|--sync|--setup-keys",
    "dmesg": r"-[a-zA-Z]*[cCnDE]|--(clear|read-clear|console)",
}


def settings(call: Invocation, case: Case) -> None:
    """Programs that look, unless they are told to set something."""
    if any(re.match(_SETS[call.name], text) for text in call.texts):
        case.findings.at_least(Effect.EXEC)
        case.findings.hazard("host.control", f"changes the machine: `{call.shown}`")


HANDLERS = {
    "kill": kill,
    **dict.fromkeys(("pkill", "killall", "pgrep", "pidof"), kill_by_name),
    **dict.fromkeys(("fuser", "lsof"), port_users),
    **dict.fromkeys(
        names(
            "systemctl service launchctl shutdown reboot halt poweroff crontab at batch mount umount swapoff modprobe"
            " insmod rmmod sysctl iptables nft ufw ip6tables useradd usermod userdel groupadd passwd visudo chsh mkfs"
            " mkfs.ext4 fdisk parted wipefs losetup cryptsetup lldb ptrace bpftrace hostnamectl update-rc.d"
            " defaults dscl diskutil csrutil spctl scutil loginctl killall5 xkill init telinit rc-service initctl"
            " firewall-cmd route mkfs.ext2 mkfs.ext3 mkfs.xfs mkfs.btrfs mkfs.vfat mkfs.fat mkfs.ntfs mkfs.f2fs mke2fs"
            " mkswap swapon sfdisk cfdisk gdisk sgdisk blkdiscard hdparm nvme lvremove lvreduce vgremove pvremove lvresize"
            " zfs zpool btrfs mdadm badblocks kexec groupdel groupmod gpasswd chpasswd newusers adduser deluser addgroup"
            " delgroup vipw vigr systemd-tmpfiles timedatectl hwclock update-alternatives setenforce setcap dmsetup"
            " efibootmgr grub-install update-grub nmcli ip6tables-restore iptables-restore tc ipcrm chkconfig tmutil"
            " nvram pmset kextload kextunload resize2fs tune2fs fsck fsck.ext4 e2fsck debugfs ipvsadm brctl ethtool"
            " tcpdump renice prlimit depmod ldconfig dpkg-reconfigure debconf-set-selections setsebool restorecon semanage"
            " auditctl rmmod swupd rtcwake systemd-run dracut update-initramfs mkinitcpio sgdisk wsl mkntfs sudoedit newgrp crictl dbus-send"
            " newfs hdiutil fstrim flashrom icacls takeown chage aa-disable aa-enforce aa-complain localectl xdg-mime xdg-settings"
            " logrotate wall varnishadm a2dissite a2ensite a2dismod a2enmod apparmor_parser sv s6-svc s6-rc rc-update mcelog"
            " gcore tshark dumpcap k3s-uninstall.sh authconfig realm pam-auth-update swaplabel zramctl fsfreeze e2label"
        ),
        host,
    ),
    **dict.fromkeys(_PACKAGES, packages),
    **dict.fromkeys(("skill", "snice"), signals),
    **dict.fromkeys(_SETS, settings),
}
