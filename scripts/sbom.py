#!/usr/bin/env python3
"""sbom.py --version VERSION --swift VERSION [--deb FILE STATUS]... [--card IMAGE STATUS] [--model] OUTPUT.json

Writes what the files of a release consist of, as SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3/). It is the same to the bit for the same
input and SOURCE_DATE_EPOCH.

    --swift    the version of Debian's package of the Swift compiler, whose runtime is in the program
    --deb      a package of the daemon, and the dpkg database of the system that it is for (the file "status")
    --card     the card's image, and the dpkg database of its root
    --model    BirdNET's model is on the card
"""

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.parse
import uuid

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
LOCKED = re.compile(r'locked\("([^"]+)", "([^"]+)"')
RELEASES = {"12": "bookworm", "13": "trixie"}


def read_stanzas(text):
    """The stanzas of a dpkg database or a control file: dictionaries of fields, without continued lines."""
    stanzas = []
    for part in re.split(r"\n\n+", text.strip()):
        lines = [line for line in part.split("\n") if line[:1] not in (" ", "\t") and ": " in line]
        stanzas.append(dict(line.split(": ", 1) for line in lines))
    return [stanza for stanza in stanzas if "Package" in stanza]


def depends(stanza):
    """The packages that a stanza depends on: a list of alternatives for each."""
    fields = ", ".join(stanza[name] for name in ("Pre-Depends", "Depends") if stanza.get(name))
    return [[re.split(r"[ (:]", choice.strip())[0] for choice in part.split("|")] for part in fields.split(",") if part.strip()]


class Database:
    """A dpkg database: which package is meant by a name."""

    def __init__(self, path):
        with open(path) as file:
            # A package that was removed but for its settings is listed too.
            self.stanzas = [stanza for stanza in read_stanzas(file.read()) if stanza.get("Status", "").endswith(" installed")]
        self.named = {stanza["Package"]: stanza for stanza in self.stanzas}
        self.provided = {}
        for stanza in self.stanzas:
            for part in stanza.get("Provides", "").split(","):
                self.provided.setdefault(re.split(r"[ (]", part.strip())[0], stanza)

    def find(self, choices):
        for name in choices:
            if name in self.named:
                return self.named[name]
        return next((self.provided[name] for name in choices if name in self.provided), None)


class Document:
    def __init__(self, version, created):
        self.version, self.created = version, created
        self.packages, self.relationships = {}, set()

    def add(self, key, name, version, purl=None, **fields):
        """Adds a package, unless it is there, and returns its identifier. `key` is unique."""
        # SPDX: letters, digits, "." and "-".
        spdx_id = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", lambda match: f"-{ord(match[0]):x}-", key)
        if spdx_id not in self.packages:
            package = {"SPDXID": spdx_id, "name": name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                       "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION"} | fields
            if version:
                package["versionInfo"] = version
            if purl:
                package["externalRefs"] = [
                    {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]
            self.packages[spdx_id] = package
        return spdx_id

    def relate(self, left, kind, right):
        self.relationships.add((left, kind, right))

    def add_file(self, path, name, version, **fields):
        """A file of the release itself."""
        base = os.path.basename(path)
        with open(path, "rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        spdx_id = self.add(f"File-{base}", name, version, packageFileName=base, licenseDeclared="Apache-2.0",
                           checksums=[{"algorithm": "SHA256", "checksumValue": checksum}], **fields)
        self.relate("SPDXRef-DOCUMENT", "DESCRIBES", spdx_id)
        return spdx_id

    def add_debian(self, stanza, release):
        name, version, arch = stanza["Package"], stanza["Version"], stanza["Architecture"]
        purl = f"pkg:deb/debian/{quoted(name)}@{quoted(version)}?arch={arch}&distro={release}"
        return self.add(f"Debian-{release}-{arch}-{name}-{version}", name, version, purl)

    def add_needed(self, daemon, stanza, release, database):
        """Adds what a package of the daemon depends on, and what that depends on, with the versions of the database."""
        waiting, seen = [(daemon, stanza)], {daemon}
        while waiting:
            parent, stanza = waiting.pop()
            for choices in depends(stanza):
                found = database.find(choices)
                if found is None and parent == daemon:
                    # No library, so the database does not have it.
                    self.relate(parent, "DEPENDS_ON", self.add(f"Debian-{release}-{choices[0]}", choices[0], None,
                                f"pkg:deb/debian/{quoted(choices[0])}?distro={release}"))
                if found is None:
                    continue
                child = self.add_debian(found, release)
                self.relate(parent, "DEPENDS_ON", child)
                if child not in seen:
                    seen.add(child)
                    waiting.append((child, found))

    def text(self):
        content = {
            "packages": [self.packages[spdx_id] for spdx_id in sorted(self.packages)],
            "relationships": [{"spdxElementId": left, "relationshipType": kind, "relatedSpdxElement": right}
                              for left, kind, right in sorted(self.relationships)],
        }
        # A name that no other content has. Nothing has to be found there.
        name = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([self.version, self.created, content], sort_keys=True))
        document = {
            "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"edge-aggregator-{self.version}", "documentNamespace": f"urn:uuid:{name}",
            "creationInfo": {"created": self.created, "creators": [f"Tool: edge-aggregator-sbom-{self.version}"]},
        } | content
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def quoted(text):
    """As package URLs want it."""
    return urllib.parse.quote(text, safe="~:")


def add_swift(document, runtime):
    """The packages that Package.swift locks, and Swift's own runtime: what is inside the program."""
    with open(f"{PROJECT}/Package.swift") as file:
        locked = LOCKED.findall(file.read())
    if not locked:
        sys.exit("sbom: Package.swift locks no package any more (lines such as locked(\"OWNER/NAME\", \"VERSION\"))")
    inside = [document.add(f"Swift-{name.replace('/', '-')}-{version}", name.split("/")[1], version,
                           f"pkg:swift/github.com/{name}@{quoted(version)}", downloadLocation=f"git+https://github.com/{name}",
                           comment="Locked in Package.swift. A package that another one needs only in part may be absent from the program.")
              for name, version in locked]
    inside.append(document.add(f"Swift-runtime-{runtime}", "swift-runtime", runtime,
                               f"pkg:deb/debian/swiftlang@{quoted(runtime)}?distro=sid",
                               licenseDeclared="Apache-2.0 WITH Swift-exception",
                               comment="The standard library, Foundation and Dispatch of Debian's package swiftlang, linked into the program."))
    return inside


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--version", required=True)
    parser.add_argument("--swift", required=True)
    parser.add_argument("--deb", nargs=2, action="append", default=[])
    parser.add_argument("--card", nargs=2)
    parser.add_argument("--model", action="store_true")
    parser.add_argument("output")
    options = parser.parse_args()
    try:
        created = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    except (KeyError, ValueError):
        sys.exit("sbom: SOURCE_DATE_EPOCH must be set, in seconds since 1970")
    document = Document(options.version, created.strftime("%Y-%m-%dT%H:%M:%SZ"))
    inside = add_swift(document, options.swift)
    packages = {}
    for path, status in options.deb:
        control = subprocess.run(["dpkg-deb", "-f", path], check=True, capture_output=True, text=True).stdout
        # A field may be continued on the next line.
        stanza = read_stanzas(re.sub(r"\n[ \t]+", " ", control))[0]
        number = stanza["Version"].rpartition("+deb")[2]
        release = RELEASES.get(number)
        if release is None:
            sys.exit(f"sbom: {path} is version {stanza['Version']}, which is for no known release (+deb12, +deb13)")
        daemon = document.add_file(path, "edge-aggregator", stanza["Version"], primaryPackagePurpose="APPLICATION")
        packages[release, stanza["Architecture"]] = daemon
        for part in inside:
            document.relate(daemon, "CONTAINS", part)
        document.add_needed(daemon, stanza, release, Database(status))
    if options.card:
        path, status = options.card
        card = document.add_file(path, "edge-aggregator-card", options.version, primaryPackagePurpose="OPERATING-SYSTEM")
        database = Database(status)
        release = RELEASES.get(database.named["base-files"]["Version"].partition(".")[0], "unknown")
        for stanza in database.stanzas:
            document.relate(card, "CONTAINS", document.add_debian(stanza, release))
        if (release, "arm64") in packages:
            document.relate(card, "CONTAINS", packages[release, "arm64"])
        if options.model:
            document.relate(card, "CONTAINS", document.add("BirdNET-2.4", "BirdNET GLOBAL 6K", "2.4",
                                                           licenseDeclared="CC-BY-NC-SA-4.0"))
    with open(options.output, "w") as file:
        file.write(document.text())


if __name__ == "__main__":
    main()
