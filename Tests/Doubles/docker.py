#!/usr/bin/env python3
"""A stand-in for `docker`: runs here what a container would run, with its volumes as folders below $EDGE_DOCKER_FOLDER.

It knows what deploy/README.md and deploy/passwords call: `compose up`, `compose run`, `compose exec` and `run`. Each call is a line of
JSON in $EDGE_DOCKER_FOLDER/calls. Files that another user of the container owns are given to nobody when the test is root.
"""

import json
import os
import subprocess
import sys

FOLDER = os.environ["EDGE_DOCKER_FOLDER"]
TOOLS = os.environ["EDGE_TEST_SERVERS"]
# Of docker-compose.yml: where each service has its volume.
VOLUMES = {"mosquitto": "/mosquitto/data", "s3": "/data"}

arguments = sys.argv[1:]
with open(f"{FOLDER}/calls", "a") as calls:
    calls.write(json.dumps(arguments) + "\n")


def without_options(words):
    """The words after the options, and the user that they name."""
    user = None
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "--user":
            user = words.pop(0)
    return words, user


if arguments[:2] == ["compose", "up"]:
    sys.exit(0)
if arguments[:2] in (["compose", "run"], ["compose", "exec"]):
    command, user = without_options(arguments[2:])
    service = command.pop(0)
elif arguments[:1] == ["run"]:
    command, user = without_options(arguments[1:])
    service = None
    command.pop(0)
else:
    sys.exit(f"docker: the stand-in does not know {arguments}")
inside = VOLUMES.get(service)
if inside:
    outside = f"{FOLDER}/{service}"
    os.makedirs(outside, exist_ok=True)
    command = [outside + word[len(inside):] if word == inside or word.startswith(inside + "/") else word for word in command]
environment = dict(os.environ, PATH=f"{TOOLS}/bin:/usr/bin:/bin", LD_LIBRARY_PATH=f"{TOOLS}/lib")
status = subprocess.run(command, env=environment).returncode
if user and inside and os.geteuid() == 0:
    for name in os.listdir(outside):
        os.chown(f"{outside}/{name}", 65534, 65534)
sys.exit(status)
