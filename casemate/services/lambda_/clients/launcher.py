"""The first program of an execution environment: it makes the environment's sockets, lowers its limits and becomes
the runtime. It runs by itself, with nothing but Python's standard library.

Its argument is the descriptor of a socket, by which the server sends one line of JSON:

    listen       addresses to listen on, as [host, port]; port 0: any free one
    command      what to become, as a list
    environment  its variables; "{0}" in those that `ports` names stands for the first listener's port, and so on
    ports        names of variables
    folder       where it begins
    limits       resource limits, by name ("RLIMIT_NPROC")
    parent       the process to die with, 0 where something else sees to that

and by which it sends back the listening sockets. They are made here because here may be another network: so a
server serves what is in a network that has nothing but a loopback device.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the runtime."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    plan = json.loads(channel.makefile("rb").readline())
    if plan["parent"]:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != plan["parent"]:
            sys.exit("the server is gone")
    listeners = []
    for host, port in plan["listen"]:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        listeners.append(listener)
    ports = [listener.getsockname()[1] for listener in listeners]
    variables = dict(plan["environment"])
    for name in plan["ports"]:
        variables[name] = variables[name].format(*ports)
    socket.send_fds(channel, [b"+"], [listener.fileno() for listener in listeners])
    channel.close()
    for name, most in plan["limits"].items():
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        # Lower it may be already. One that cannot be set ends the environment.
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (least, least))
    os.chdir(plan["folder"])
    command = plan["command"]
    try:
        os.execve(command[0], command, variables)  # noqa: S606 - what the server says
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


main()
