#!/usr/bin/env python3
"""archive.py OCI_FOLDER IMAGE.json NAME:TAG OUTPUT.tar: makes an archive of an OCI image layout, always the same for the same image.

IMAGE.json is what `buildah inspect --type image` says. The OCI format has no health check, but Docker reads one in the configuration
under the name that its own format has ("Healthcheck"), and other programs ignore it: it is added here. So is Docker's own index of an
archive ("manifest.json"), without which `docker load` before version 25 finds nothing.
"""

import hashlib
import json
import os
import sys
import tarfile


def read(folder, digest):
    with open(f"{folder}/blobs/{digest.replace(':', '/')}", "rb") as file:
        return json.load(file)


def replace(folder, old, content):
    """Writes a blob in the place of another; returns its descriptor's new parts."""
    data = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    digest = hashlib.sha256(data).hexdigest()
    os.unlink(f"{folder}/blobs/{old.replace(':', '/')}")
    with open(f"{folder}/blobs/sha256/{digest}", "wb") as file:
        file.write(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


def complete(folder, check, name):
    with open(f"{folder}/index.json") as file:
        index = json.load(file)
    (entry,) = index["manifests"]
    manifest = read(folder, entry["digest"])
    config = read(folder, manifest["config"]["digest"])
    config["config"]["Healthcheck"] = check
    manifest["config"] |= replace(folder, manifest["config"]["digest"], config)
    entry |= replace(folder, entry["digest"], manifest)
    entry["platform"] = {"architecture": config["architecture"], "os": config["os"]}
    entry["annotations"] = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": f"docker.io/library/{name}"}
    with open(f"{folder}/index.json", "w") as file:
        json.dump(index, file, sort_keys=True)
    blobs = [f"blobs/{part['digest'].replace(':', '/')}" for part in [manifest["config"], *manifest["layers"]]]
    with open(f"{folder}/manifest.json", "w") as file:
        json.dump([{"Config": blobs[0], "RepoTags": [name], "Layers": blobs[1:]}], file, sort_keys=True)


def pack(folder, output):
    paths = sorted(os.path.relpath(os.path.join(place, name), folder)
                   for place, folders, files in os.walk(folder) for name in folders + files)
    with tarfile.open(output, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in paths:
            member = tarfile.TarInfo(path)
            member.mtime = int(os.environ["SOURCE_DATE_EPOCH"])
            if os.path.isdir(f"{folder}/{path}"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                member.size, member.mode = os.path.getsize(f"{folder}/{path}"), 0o644
                with open(f"{folder}/{path}", "rb") as file:
                    archive.addfile(member, file)


def main():
    folder, image, name, output = sys.argv[1:]
    with open(image) as file:
        complete(folder, json.load(file)["Docker"]["config"]["Healthcheck"], name)
    pack(folder, output)


main()
