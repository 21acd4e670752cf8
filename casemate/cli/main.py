"""The ``casemate`` command: what it understands. Each subcommand's module is imported when it is used."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from casemate.cli.problems import CommandError

ROTATIONS = (
    *("postgres-single-user", "postgres-alternating-users", "mysql-single-user"),
    *("mysql-alternating-users", "mongodb-single-user"),
)
"""As ``casemate.cli.rotation`` has them."""

_ABOUT = """\
The AWS security services on your own machine.

  casemate serve                       start the server (the first start makes an account)
  eval "$(casemate env)"               point the AWS CLI and SDKs of this shell at it
  aws kms create-key                   from here on everything is plain AWS

serving
  serve            run the server
  init             prepare a data directory without serving
  env              print a shell's exports for AWS tools

parameters and secrets for people
  run              run a command with parameters and secrets in its environment
  import           take over values from dotenv, JSON or Vault/OpenBao
  export           hand values out to dotenv, JSON or Vault/OpenBao

who may what
  whoami           who the shell's AWS credentials are
  explain          why a call was allowed or refused: each statement, and what decided
  policy generate  the least policy for what a user or role was seen to do

operating
  doctor           check a data directory and say what to do about problems
  fsck             check that all objects of S3 are as they were written
  audit tail       read the audit journal
  seal status      which seal protects the keys
  seal rotate      protect the keys by another seal
  quota            show and change quotas, answer requests for more
  cost             what the same use would cost on AWS
  rotation install a Lambda function that rotates a database's passwords
  backup           write a sealed copy of everything, while the server runs
  restore          make a data directory from such a copy

testing against a server started with serve --dev
  clock            show or move the server's clock
  reset            put the server back to how it was at its start
  attest           make attestation documents as a Nitro enclave gets them

client-side encryption by the AWS Encryption SDK
  encrypt          encrypt files under data keys of a KMS key
  decrypt          decrypt files, whichever of the SDKs encrypted them

  version          print the version
"""

_EPILOGUE = """\
Each command has its own --help. Settings come from the command line, the environment (CASEMATE_PORT, ...) and
casemate.toml in the data directory, in this order.

exit status: 0 done; 1 it failed, or problems were found; 2 wrong usage or settings; 130 interrupted
"""


class _Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="casemate",
        description=_ABOUT,
        epilog=_EPILOGUE,
        formatter_class=_Help,
        usage="casemate COMMAND ...",
    )
    # The description lists the commands, in groups, which argparse cannot do.
    commands = parser.add_subparsers(
        prog="casemate", dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--data", metavar="DIR", help="the data directory (default: ~/.local/share/casemate)")
    places.add_argument("--config", metavar="FILE", help="the settings file (default: DIR/casemate.toml)")

    def command(
        name: str,
        run: str,
        summary: str,
        examples: str = "",
        *,
        group: argparse._SubParsersAction[argparse.ArgumentParser] = commands,
        parents: Sequence[argparse.ArgumentParser] = (places,),
    ) -> argparse.ArgumentParser:
        added = group.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=_Help,
            parents=list(parents),
        )
        added.set_defaults(run=run)
        return added

    serve = command(
        "serve",
        "serve:serve",
        "run the server until it is told to stop (SIGTERM or Ctrl-C)",
        "  casemate serve\n"
        "  casemate serve --dev --seed tests/seed.toml    throwaway data, for tests\n"
        "  casemate serve --host 0.0.0.0 --workers 4 --data /var/lib/casemate",
    )
    serve.add_argument(
        "--dev",
        action="store_const",
        const="true",
        help="for tests: a fresh data directory that is removed at the end (unless --data names one), a clock that "
        "can be moved, and a reset; everything is enforced as ever",
    )
    serve.add_argument(
        "--seed", metavar="FILE", help="make the accounts, access keys and KMS keys of a TOML or JSON file"
    )
    serve.add_argument("--host", metavar="H", help="the address to listen on (default: 127.0.0.1)")
    for name, what, port in (
        ("port", "HTTP", 4566),
        ("tls-port", "HTTPS", 4567),
        ("metrics-port", "Prometheus metrics", 4568),
    ):
        serve.add_argument(
            f"--{name}",
            metavar="N",
            help=f'the port for {what} (default: {port}; 0: any free one; "off": none)',
        )
    serve.add_argument("--workers", metavar="N", help="worker processes (default: 1)")
    serve.add_argument(
        "--ready-fd",
        metavar="N",
        type=int,
        help="write one line of JSON to this file descriptor once it serves",
    )

    init = command(
        "init",
        "initialise:init",
        "prepare a data directory: keys, account, administrator",
        "  casemate init --data /var/lib/casemate",
    )
    init.add_argument(
        "--seed", metavar="FILE", help="make the accounts, access keys and KMS keys of a TOML or JSON file"
    )

    env = command(
        "env",
        "env:env",
        "print what a shell needs so that AWS tools use this server",
        '  eval "$(casemate env)"\n'
        '  eval "$(casemate env --tls)"                   by HTTPS\n'
        "  casemate env --shell fish | source",
    )
    env.add_argument(
        "--shell", choices=("sh", "fish", "powershell", "dotenv"), default="sh", help="default: sh"
    )
    env.add_argument("--tls", action="store_true", help="the HTTPS endpoint, with its certificate authority")

    seal = commands.add_parser(
        "seal",
        help="the seal that protects the keys",
        description="The seal that protects the keys.",
        formatter_class=_Help,
    )
    of_seal = seal.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    command("status", "seal:status", "which seal protects the keys, and whether it opens them", group=of_seal)
    rotate = command(
        "rotate",
        "seal:rotate",
        "protect the keys by another seal; a server that runs is not disturbed",
        "  casemate seal rotate                           a new key file in place of the old\n"
        "  casemate seal rotate --to passphrase:env:CASEMATE_PASSPHRASE\n"
        "  casemate seal rotate --to 'pkcs11:token=T;object=K?module-path=/lib.so&pin-source=file:/run/pin'",
        group=of_seal,
    )
    rotate.add_argument(
        "--to", metavar="SEAL", help="the new seal (default: a new key file where the old one is)"
    )

    backup = command(
        "backup",
        "backup:backup",
        "write a sealed copy of everything to one file, while the server runs",
        "  casemate backup /backups/casemate-monday.cmb\n"
        "The seal's key is not in it. Keep a copy of that somewhere else: without it nobody can restore the backup.",
    )
    backup.add_argument("file", metavar="FILE", help="must not exist yet")
    restore = command(
        "restore",
        "backup:restore",
        "make a data directory from a backup, once the whole backup has been checked",
        "  casemate restore /backups/casemate-monday.cmb --data /var/lib/casemate --key /safe/seal.key",
    )
    restore.add_argument("file", metavar="FILE", help="what casemate backup wrote")
    restore.add_argument(
        "--key", metavar="FILE", help="the key file of the time of the backup, where that was the seal"
    )

    command(
        "doctor",
        "doctor:doctor",
        "check a data directory and its server, and say what to do about problems",
        "  casemate doctor --data /var/lib/casemate",
    )

    runs = command(
        "run",
        "run:run",
        "run a command with parameters and secrets in its environment, and nowhere else",
        "  casemate run --env-from ssm:/app/prod --env-from secret:db -- ./server --port 8000\n"
        "  casemate run --env-from ssm:/app/prod --profile deploy -- env",
    )
    runs.add_argument(
        "--env-from",
        metavar="PLACE",
        action="append",
        required=True,
        help="ssm:/path (the parameters below it: db/password is DB_PASSWORD) or secret:NAME (its members); may be "
        "repeated",
    )
    runs.add_argument(
        "--allow",
        metavar="VARIABLE",
        action="append",
        default=[],
        help="let PATH, LD_PRELOAD or another variable by which programs find code be set; may be repeated",
    )
    runs.add_argument("--profile", metavar="NAME", help="a profile of the AWS CLI's configuration")
    runs.add_argument("command_line", metavar="-- COMMAND", nargs=argparse.REMAINDER, help="what to run")
    for name, function, what, examples in (
        (
            "import",
            "import_",
            "take over values from elsewhere into parameters or a secret",
            "  casemate import dotenv:.env ssm:/app/prod --dry-run\n"
            "  casemate import vault:secret/app secret:app",
        ),
        (
            "export",
            "export",
            "hand out the values of parameters or of a secret",
            "  casemate export ssm:/app/prod dotenv:.env\n  casemate export secret:app json:-",
        ),
    ):
        moved = command(name, f"transfer:{function}", what, examples)
        places_help = "ssm:/path, secret:NAME, dotenv:FILE, json:FILE or vault:MOUNT/PATH; FILE may be -"
        moved.add_argument("source", metavar="FROM", help=places_help)
        moved.add_argument("target", metavar="TO", help="the same; what it has besides stays")
        moved.add_argument(
            "--dry-run", action="store_true", help="only show what would change: names, and no values"
        )
        moved.add_argument("--delete", action="store_true", help="delete what TO has and FROM has not")
        moved.add_argument(
            "--type",
            choices=("SecureString", "String"),
            default="SecureString",
            help="of parameters that are new (default: SecureString)",
        )
        moved.add_argument("--key-id", metavar="KEY", help="the KMS key of what is new")
        moved.add_argument("--profile", metavar="NAME", help="a profile of the AWS CLI's configuration")
    fsck = command(
        "fsck",
        "fsck:fsck",
        "check that all objects of S3 are as they were written, while the server runs or not",
        "  casemate fsck --data /var/lib/casemate\n  casemate fsck --quick --repair",
    )
    fsck.add_argument(
        "--quick", action="store_true", help="look at rows and sizes, and read no large content"
    )
    fsck.add_argument(
        "--repair", action="store_true", help="put right what can be, and remove what belongs to nothing"
    )

    whoami = command(
        "whoami",
        "whoami:whoami",
        "ask the server who the shell's AWS credentials are (without any: who the administrator is)",
        "  casemate whoami\n  casemate whoami --profile deploy",
    )
    whoami.add_argument("--profile", metavar="NAME", help="a profile of the AWS CLI's configuration")
    whoami.add_argument("--json", action="store_true", help="as one line of JSON")

    explain = command(
        "explain",
        "explain:explain",
        "tell why a call was allowed or refused: each statement that was considered, and what decided",
        "  casemate explain 5f2c9a4e-0b1d-4c6e-9d57-3a8f00000001\n"
        "The policies are those of now; where they decide otherwise than then, that is said.",
    )
    explain.add_argument(
        "event", metavar="EVENT_ID", help="the eventID or requestID of a record of the journal"
    )

    policy = commands.add_parser("policy", help="policies", description="Policies.", formatter_class=_Help)
    of_policy = policy.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    generate = command(
        "generate",
        "policy:generate",
        "print the least policy for what a user or role was seen to do",
        "  casemate policy generate --from-audit deploy > deploy.json\n"
        "  casemate policy generate --from-audit arn:aws:iam::111122223333:role/deploy",
        group=of_policy,
    )
    generate.add_argument(
        "--from-audit",
        metavar="PRINCIPAL",
        required=True,
        help="whose calls in the audit journal: a user or role, by ARN or name",
    )

    audit = commands.add_parser(
        "audit", help="the audit journal", description="The audit journal.", formatter_class=_Help
    )
    of_audit = audit.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    tail = command(
        "tail",
        "audit:tail",
        "print the last records of the audit journal",
        "  casemate audit tail -f\n  casemate audit tail --json -n all | jq 'select(.errorCode)'",
        group=of_audit,
    )
    tail.add_argument("-n", metavar="N", default="20", help='how many records (default: 20), or "all"')
    tail.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    tail.add_argument("--json", action="store_true", help="CloudTrail's records, one a line")

    rotation = commands.add_parser(
        "rotation",
        help="functions that rotate databases' passwords",
        description="Lambda functions that rotate the passwords in secrets, and in the databases that they are for.",
        formatter_class=_Help,
    )
    of_rotation = rotation.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    command("list", "rotation:rotation_list", "what there is to install", group=of_rotation)
    archive = command(
        "package",
        "rotation:rotation_package",
        "write a rotation function's archive, to install it otherwise",
        "  casemate rotation package mysql-single-user --output function.zip",
        group=of_rotation,
    )
    archive.add_argument("kind", metavar="KIND", choices=ROTATIONS, help="one of casemate rotation list")
    archive.add_argument("--output", metavar="FILE", required=True, help="the archive to write")
    install = command(
        "install",
        "rotation:rotation_install",
        "make or update a rotation function, with its role, and print its ARN",
        "  casemate rotation install postgres-single-user\n"
        "  casemate rotation install mysql-alternating-users --name rotate-shop --master-secret ARN",
        group=of_rotation,
    )
    install.add_argument("kind", metavar="KIND", choices=ROTATIONS, help="one of casemate rotation list")
    install.add_argument("--name", metavar="NAME", help="the function's (default: casemate-KIND)")
    install.add_argument("--role", metavar="ARN", help="its execution role (default: one is made for it)")
    for option, what in (
        ("master-secret", "a secret of a user who may change others, for alternating users"),
        ("kms-key", "a KMS key that secrets which it rotates are encrypted by, besides aws/secretsmanager"),
    ):
        install.add_argument(f"--{option}", metavar="ARN", action="append", help=f"{what}; may be repeated")
    install.add_argument(
        "--exclude-characters", metavar="TEXT", help="characters that new passwords are made without"
    )
    install.add_argument("--password-length", metavar="N", type=int, help="of new passwords (default: 32)")
    install.add_argument("--profile", metavar="NAME", help="a profile of the AWS CLI's configuration")
    quota = commands.add_parser(
        "quota",
        help="quotas and requests for more",
        description="What accounts may have, and how often they may call.",
        formatter_class=_Help,
    )
    of_quota = quota.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for name, run, summary, examples in (
        (
            "list",
            "quota:list_",
            "the values that apply, and requested increases that wait for an answer",
            "  casemate quota list --all --region eu-central-1",
        ),
        (
            "set",
            "quota:set_",
            "let another value apply to an account in a Region; a server that runs notices",
            "  casemate quota set kms CreateKey 50\n"
            "  casemate quota set kms 'Aliases per CMK' 100 --account 111122223333\n"
            "  casemate quota set kms L-6E3AF000 default",
        ),
    ):
        added = command(name, run, summary, examples, group=of_quota)
        added.add_argument("--account", metavar="ID", help="default: the administrator's")
        added.add_argument("--region", metavar="R", help="default: the setting region")
        if name == "list":
            added.add_argument("--all", action="store_true", help="those that were not changed, too")
        else:
            added.add_argument("service", metavar="SERVICE", help="as Service Quotas calls it: kms")
            added.add_argument(
                "quota", metavar="QUOTA", help="its code, its name, or the operation that it limits"
            )
            added.add_argument("value", metavar="VALUE", help='a number, or "default"')
    for name, summary in (
        ("approve", "let a requested increase apply"),
        ("deny", "turn a requested increase down"),
    ):
        added = command(name, f"quota:{name}", summary, group=of_quota)
        added.add_argument("id", metavar="ID", help="the request's id, or as much of it as is enough")

    cost = command(
        "cost",
        "cost:cost",
        "what the same use would cost on AWS in a month",
        "  casemate cost\n"
        "  casemate cost --month 2026-10 --by key --plot\n"
        "  casemate cost --by operation --plot costs.svg --format json",
    )
    cost.add_argument("--month", metavar="YYYY-MM", help="default: the present one")
    cost.add_argument(
        "--by",
        metavar="WHAT",
        default="usage",
        help="what a row is: usage (the kind of what is charged; default), key, operation, account, region, day, or "
        "several, as key,operation",
    )
    cost.add_argument("--account", metavar="ID", help="this account's alone")
    cost.add_argument(
        "--plot",
        metavar="FILE.svg",
        nargs="?",
        const="-",
        help="draw it, by day into a file, or as bars on the terminal",
    )
    cost.add_argument("--format", choices=("table", "json"), default="table", help="default: table")

    clock = command(
        "clock",
        "dev:clock",
        "show or move the clock of a server started with --dev, and wait for what falls due",
        "  casemate clock --advance 7d\n"
        "  casemate clock --set 2030-01-01T00:00:00Z\n"
        "  casemate clock --reset",
    )
    how = clock.add_mutually_exclusive_group()
    how.add_argument("--advance", metavar="TIME", help="forward, as 90s, 45m, 12h, 365d")
    how.add_argument("--set", metavar="ISO", help="to a moment, as 2030-01-01T00:00:00Z")
    how.add_argument("--reset", action="store_true", help="back to the machine's time")
    command("reset", "dev:reset", "put a server started with --dev back to how it was at its start")

    for name, run, summary, examples in (
        (
            "encrypt",
            "encrypt:encrypt",
            "encrypt files under data keys of a KMS key, as messages of the AWS Encryption SDK",
            "  casemate encrypt --key-id alias/files --encryption-context tenant=blue report.pdf\n"
            "  casemate encrypt --key-id alias/files --cache-messages 100 --output encrypted/ *.csv\n"
            "  tar c folder | casemate encrypt --key-id alias/files - > folder.tar.encrypted\n"
            "Server and credentials are those of AWS's tools (AWS_ENDPOINT_URL, AWS_PROFILE, ...) or, where the "
            "environment\nnames none or --data is given, those of the data directory.",
        ),
        (
            "decrypt",
            "encrypt:decrypt",
            "decrypt files, whichever AWS Encryption SDK encrypted them",
            "  casemate decrypt --encryption-context tenant=blue report.pdf.encrypted\n"
            "  casemate decrypt - < folder.tar.encrypted | tar x",
        ),
    ):
        encrypts = name == "encrypt"
        added = command(name, run, summary, examples)
        added.add_argument("file", metavar="FILE", nargs="+", help="what to read; -: standard input")
        added.add_argument(
            "--key-id",
            metavar="KEY",
            action="append",
            required=encrypts,
            default=None if encrypts else [],
            help="a KMS key's id, ARN or alias; more of them can decrypt, too; may be repeated"
            if encrypts
            else "use no other KMS key than this; may be repeated (default: what the file names)",
        )
        added.add_argument(
            "--encryption-context",
            metavar="NAME=VALUE",
            action="append",
            default=[],
            help="what the file is for, not secret, bound to it; may be repeated"
            if encrypts
            else "refuse what has another encryption context; may be repeated",
        )
        added.add_argument(
            "--output",
            metavar="PATH",
            help="a file, a directory that exists, or - for standard output (default: beside the input)",
        )
        added.add_argument(
            "--suffix",
            metavar="TEXT",
            help=f"{'added to' if encrypts else 'taken from'} the input's name (default: .encrypted)",
        )
        added.add_argument("--force", action="store_true", help="replace outputs that are there already")
        added.add_argument("--quiet", action="store_true", help="show no progress of large files")
        if encrypts:
            added.add_argument(
                "--cache-messages", metavar="N", help="one data key for up to so many files (default: 1)"
            )
            added.add_argument(
                "--cache-bytes", metavar="N", help="one data key for up to so many bytes of files"
            )
            added.add_argument(
                "--algorithm-suite",
                choices=(
                    "AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384",
                    "AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
                ),
                default="AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384",
                metavar="NAME",
                help="with a signature (AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384, the default) or without "
                "(AES_256_GCM_HKDF_SHA512_COMMIT_KEY); both commit to the key",
            )
        else:
            added.add_argument(
                "--allow-no-commitment",
                action="store_true",
                help="also what was encrypted without key commitment, as by SDKs before 2.0",
            )
        added.add_argument(
            "--cache-age",
            metavar="TIME",
            help="use data keys again for so long, as 90s, 5m"
            + (" (default with another limit: 5m)" if encrypts else " (default: ask KMS for each file)"),
        )

    attest = command(
        "attest",
        "attest:attest",
        "make an attestation document as a Nitro enclave gets it, by an authority of your own",
        "  casemate attest --authority authority           only make authority/root.pem, for attestation_roots\n"
        "  casemate attest enclave.pub --authority authority --pcr 0=$(printf '0%.0s' {1..96}) --output document",
        parents=[],
    )
    attest.add_argument(
        "public_key", metavar="PUBLIC_KEY", nargs="?", help="the enclave's RSA key, PEM or DER"
    )
    attest.add_argument(
        "--authority",
        metavar="DIR",
        required=True,
        help="where the authority is (root.pem, root.key); made where there is none",
    )
    attest.add_argument(
        "--pcr",
        metavar="N=HEX",
        action="append",
        default=[],
        help="a platform configuration register, of 32, 48 or 64 bytes; may be repeated (default: 0 is all zeros)",
    )
    attest.add_argument(
        "--tpm", action="store_true", help="of an instance with a NitroTPM, not of an enclave"
    )
    attest.add_argument("--module-id", metavar="ID", help="the enclave's id")
    attest.add_argument("--output", metavar="FILE", help="where to write it (default: standard output)")

    version = commands.add_parser("version", help="print the version", description="Print the version.")
    version.set_defaults(run="version:version")
    parser.add_argument("--version", action="store_const", const=True, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        given = ["version"]
    if not given:
        given = ["--help"]
    options = _parser().parse_args(given)
    module, _, function = options.run.partition(":")
    try:
        run = getattr(import_module(f"casemate.cli.{module}"), function)
        status: int = run(options)
        sys.stdout.flush()
    except CommandError as error:
        print(f"casemate: {error}", file=sys.stderr)
        if error.advice:
            print(error.advice, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has had enough, as `head` does. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
