"""``casemate serve``: what starts, what does not start and says why, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import ssl
import stat
import subprocess
import time
import urllib.request
from pathlib import Path

from server_support import COMMAND, Server, casemate, casemate_process, environment, running_server

from casemate.server.data_lock import holder
from casemate.server.server_file import running

ONE_PORT = ("--port", "0", "--tls-port", "off", "--metrics-port", "off")


def serve(tmp_path: Path, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A serve that is expected to fail."""
    ports = ("--port", "0", "--tls-port", "0", "--metrics-port", "0")
    return casemate_process("serve", "--data", str(tmp_path / "data"), *ports, *args, env=env)


def test_a_server_serves_and_ends(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert server.client("sts").get_caller_identity()["Arn"].endswith(":user/admin")
        assert server.client("sts", tls=True).get_caller_identity()["Arn"].endswith(":user/admin")
        assert running(server.data) == server.running
        assert holder(server.data) == server.process.pid
        assert server.stop() == 0
        assert running(server.data) is None
        assert holder(server.data) is None
        assert not (server.data / "server.json").exists()


def test_what_is_on_disk_is_the_owners_alone(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        server.client("kms").create_key()
        for path in [server.data, *server.data.rglob("*")]:
            if path.name != "ca.pem":
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_next_start_goes_on_with_the_data(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        key = server.client("kms").create_key()["KeyMetadata"]["KeyId"]
        blob = server.client("kms").encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
        administrator = server.administrator
    with running_server(tmp_path, "--workers", "2") as server:
        assert server.administrator == administrator
        assert server.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
        assert "administrator" not in server.log.partition("Casemate")[2].partition("Casemate")[2], (
            "told once"
        )
        assert server.stop() == 0


def test_a_killed_server_leaves_a_directory_that_starts(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        key = server.client("kms").create_key()["KeyMetadata"]["KeyId"]
        server.kill()
        assert (server.data / "server.json").exists()
        assert running(server.data) is None, "what a dead server said of itself does not count"
    with running_server(tmp_path) as server:
        assert server.client("kms").describe_key(KeyId=key)["KeyMetadata"]["Enabled"]


def test_two_servers_do_not_share_a_directory(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        refused = serve(tmp_path)
        assert refused.returncode == 1
        assert f"another casemate (pid {server.process.pid}) uses {server.data}" in refused.stderr
        assert casemate("init", "--data", str(server.data)).returncode == 1
        assert server.client("sts").get_caller_identity()["Account"]


def test_workers_hold_the_directory_until_the_last_has_ended(tmp_path: Path) -> None:
    with running_server(tmp_path, "--workers", "2") as server:
        server.kill()
        # The kernel tells the workers, who end on their own.
        end = time.monotonic() + 30
        while holder(server.data) is not None:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = serve(tmp_path, "--tls-port", str(port))
        assert refused.returncode == 1
        assert refused.stderr == (
            f"casemate: port {port} of 127.0.0.1 is in use; choose another by --tls-port (0: any free one)\n"
        )


def test_a_host_that_is_not_ours_is_told(tmp_path: Path) -> None:
    for host in (64 * "x" + ".invalid", "192.0.2.1"):
        refused = serve(tmp_path, "--host", host)
        assert refused.returncode == 1
        assert host in refused.stderr
        assert "Traceback" not in refused.stderr


def test_wrong_settings_and_seeds_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text('{"accounts": [{"id": "1"}]}')
    data = ("--data", str(tmp_path / "data"))
    refused = casemate("serve", *data, "--seed", str(tmp_path / "seed.json"))
    assert refused.returncode == 2
    assert "accounts[0].id: must be 12 digits" in refused.stderr
    refused = casemate("serve", *data, "--workers", "none", "--host", "")
    assert refused.returncode == 2
    assert "--workers" in refused.stderr
    assert "--host" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_missing_or_wrong_seal_keeps_the_server_from_starting(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert casemate("init", "--data", str(data)).returncode == 0
    key = (data / "seal.key").rename(tmp_path / "kept.key")
    refused = serve(tmp_path)
    assert refused.returncode == 1
    assert "the keys cannot be opened" in refused.stderr
    assert not (data / "seal.key").exists(), "no new key is made where there is a database"
    assert casemate("init", "--data", str(tmp_path / "other")).returncode == 0
    (tmp_path / "other" / "seal.key").rename(data / "seal.key")
    refused = serve(tmp_path)
    assert refused.returncode == 1
    assert "was sealed by keyfile:" in refused.stderr
    key.replace(data / "seal.key")
    (data / "seal.key").chmod(0o644)
    refused = serve(tmp_path)
    assert refused.returncode == 1
    assert "chmod 600" in refused.stderr


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    refused = serve(tmp_path)
    assert refused.returncode == 1
    assert str(tmp_path / "data") in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_throwaway_server_leaves_nothing(tmp_path: Path) -> None:
    told, tell = os.pipe()
    process = subprocess.Popen(
        [
            *COMMAND,
            "serve",
            "--dev",
            "--port",
            "0",
            "--tls-port",
            "off",
            "--metrics-port",
            "off",
            "--ready-fd",
            str(tell),
        ],
        pass_fds=(tell,),
        env=environment({"TMPDIR": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "xdg")}),
        stdout=subprocess.PIPE,
        text=True,
    )
    os.close(tell)
    with os.fdopen(told) as pipe:
        server = json.loads(pipe.readline())
    assert server["dev"]
    assert server["tls_port"] is None
    [made] = tmp_path.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    with urllib.request.urlopen(f"http://127.0.0.1:{server['port']}/_casemate/health") as response:
        assert response.status == 200
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert f"env --data {made}" in text
    assert list(tmp_path.iterdir()) == []


def test_the_secret_is_shown_to_a_person_once(tmp_path: Path) -> None:
    def start() -> str:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [
                *COMMAND,
                "serve",
                "--data",
                str(tmp_path / "data"),
                "--port",
                "0",
                "--tls-port",
                "off",
                "--metrics-port",
                "off",
            ],
            stdout=theirs,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        os.close(theirs)
        text = ""
        while "eval" not in text:
            assert select.select([ours], [], [], 60)[0], text
            text += os.read(ours, 4096).decode()
        process.terminate()
        assert process.wait(30) == 0
        os.close(ours)
        return text

    first = start()
    secret = (
        (tmp_path / "data" / "credentials").read_text().split("aws_secret_access_key = ")[1].split("\n")[0]
    )
    assert secret in first
    assert "shown this once" in first
    assert secret not in start()


def test_the_operators_own_certificate_is_used(tmp_path: Path) -> None:
    from casemate.server.tls import own_certificate

    certificate, key = own_certificate(tmp_path / "mine", ["kms.example"])
    with running_server(
        tmp_path, env={"CASEMATE_TLS_CERT": str(certificate), "CASEMATE_TLS_KEY": str(key)}
    ) as server:
        context = ssl.create_default_context(cafile=str(tmp_path / "mine" / "ca.pem"))
        port = server.running.tls_port
        with (
            socket.create_connection(("127.0.0.1", port or 0)) as raw,
            context.wrap_socket(raw, server_hostname="kms.example") as secure,
        ):
            assert secure.version() == "TLSv1.3"
        assert not (server.data / "tls").exists()


def test_a_second_signal_ends_a_drain(tmp_path: Path) -> None:
    with running_server(tmp_path, env={"CASEMATE_DRAIN_SECONDS": "600"}) as server:
        host, port = server.endpoint.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
            time.sleep(0.2)
            server.process.terminate()
            server.process.terminate()
            wait_for_refusal(server)
            time.sleep(1.2)
            assert server.process.poll() is None, "it waits for the request"
            server.process.terminate()
            assert server.process.wait(30) == 1


def wait_for_refusal(server: Server) -> None:
    """Until the server takes no more connections."""
    host, port = server.endpoint.removeprefix("http://").split(":")
    end = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            pass  # it came while the socket was being closed
        assert time.monotonic() < end
        time.sleep(0.02)
