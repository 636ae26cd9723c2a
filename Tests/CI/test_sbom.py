#!/usr/bin/env python3
"""Tests scripts/sbom.py: the fields that SPDX 2.3 requires, the versions that it finds, and that two runs are equal."""

import json
import os
import re
import subprocess
import tempfile
import unittest

PROJECT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
#: Debian's names and forms of versions: an epoch, "+", "~"; a package that only provides what is asked for.
STATUS = """Package: libc6
Status: install ok installed
Architecture: arm64
Version: 2.36-9+deb12u10
Depends: libgcc-s1

Package: libgcc-s1
Status: install ok installed
Architecture: arm64
Version: 12.2.0-14+deb12u1
Depends: gcc-12-base (= 12.2.0-14+deb12u1), libc6 (>= 2.35)

Package: libssl3
Status: install ok installed
Architecture: arm64
Version: 3.0.16-1~deb12u1
Description: one
 Depends: nothing, since this line continues the description

Package: libalsa-other
Status: install ok installed
Architecture: arm64
Version: 1:1.2.8-1
Provides: libasound2 (= 1.2.8), libother

Package: libgone
Status: deinstall ok config-files
Architecture: arm64
Version: 1

Package: base-files
Status: install ok installed
Architecture: arm64
Version: 12.4+deb12u11
"""
DEPENDS = "libc6 (>= 2.34), libasound2, libsslmissing | libssl3 (>= 3.0.0), libgone, adduser"
EPOCH = 1700000000  # 2023-11-14T22:13:20Z
REQUIRED = {"spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages", "relationships"}


class SBOMTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.deb = f"{cls.folder.name}/edge-aggregator_0.1.0+deb12_arm64.deb"
        os.makedirs(f"{cls.folder.name}/tree/DEBIAN")
        with open(f"{cls.folder.name}/tree/DEBIAN/control", "w") as file:
            file.write("Package: edge-aggregator\nVersion: 0.1.0+deb12\nArchitecture: arm64\nMaintainer: a <b@localhost>\n"
                       f"Depends: {DEPENDS}\nDescription: one\n two\n")
        subprocess.run(["dpkg-deb", "--build", f"{cls.folder.name}/tree", cls.deb], check=True, stdout=subprocess.DEVNULL)
        cls.status = f"{cls.folder.name}/status"
        with open(cls.status, "w") as file:
            file.write(STATUS)
        cls.card = f"{cls.folder.name}/edge-aggregator-0.1.0-arm64.img.xz"
        with open(cls.card, "wb") as file:
            file.write(b"abc")
        cls.text = cls.run_sbom()
        cls.document = json.loads(cls.text)
        cls.packages = {package["SPDXID"]: package for package in cls.document["packages"]}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def run_sbom(cls):
        output = f"{cls.folder.name}/out.json"
        subprocess.run([f"{PROJECT}/scripts/sbom.py", "--version", "0.1.0", "--swift", "6.2.3-1+b1", "--deb", cls.deb, cls.status,
                        "--card", cls.card, cls.status, "--model", output],
                       check=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)})
        with open(output) as file:
            return file.read()

    def related(self, left, kind):
        return {self.packages[part["relatedSpdxElement"]]["name"]: self.packages[part["relatedSpdxElement"]]
                for part in self.document["relationships"] if part["spdxElementId"] == left and part["relationshipType"] == kind}

    def described(self):
        return self.related("SPDXRef-DOCUMENT", "DESCRIBES")

    def test_required_fields(self):
        self.assertLessEqual(REQUIRED, set(self.document))
        self.assertEqual(self.document["spdxVersion"], "SPDX-2.3")
        self.assertEqual(self.document["dataLicense"], "CC0-1.0")
        self.assertEqual(self.document["SPDXID"], "SPDXRef-DOCUMENT")
        self.assertRegex(self.document["documentNamespace"], r"^[a-z]+:[^#\s]+$")
        self.assertEqual(self.document["creationInfo"]["created"], "2023-11-14T22:13:20Z")
        for creator in self.document["creationInfo"]["creators"]:
            self.assertRegex(creator, r"^(Tool|Organization|Person): ")
        for package in self.document["packages"]:
            self.assertRegex(package["SPDXID"], r"^SPDXRef-[A-Za-z0-9.-]+$")
            self.assertTrue(package["name"])
            self.assertRegex(package["downloadLocation"], r"^(NOASSERTION|git\+https://\S+)$")
            # Without it, SPDX wants a verification code of the files.
            self.assertIs(package["filesAnalyzed"], False)
        self.assertEqual(len(self.packages), len(self.document["packages"]))

    def test_relationships_name_what_is_there(self):
        known = set(self.packages) | {"SPDXRef-DOCUMENT"}
        for part in self.document["relationships"]:
            self.assertLessEqual({part["spdxElementId"], part["relatedSpdxElement"]}, known)
        self.assertEqual(set(self.described()), {"edge-aggregator", "edge-aggregator-card"})

    def test_versions_of_libraries(self):
        needed = self.related(self.described()["edge-aggregator"]["SPDXID"], "DEPENDS_ON")
        # The alternative that is there; the package that provides; of what is not installed the name alone.
        self.assertEqual({name: package.get("versionInfo") for name, package in needed.items()},
                         {"libc6": "2.36-9+deb12u10", "libalsa-other": "1:1.2.8-1", "libssl3": "3.0.16-1~deb12u1",
                          "libgone": None, "adduser": None})
        # What a library needs itself, also in a circle; nothing is invented for what the database does not have.
        self.assertEqual(set(self.related(needed["libc6"]["SPDXID"], "DEPENDS_ON")), {"libgcc-s1"})
        self.assertNotIn("gcc-12-base", {package["name"] for package in self.document["packages"]})

    def test_package_urls(self):
        places = {package["name"]: package["externalRefs"][0]["referenceLocator"]
                  for package in self.document["packages"] if "externalRefs" in package}
        # As the specification of package URLs has it: "+" is encoded, the colon of an epoch need not be.
        self.assertEqual(places["libc6"], "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=arm64&distro=bookworm")
        self.assertEqual(places["libalsa-other"], "pkg:deb/debian/libalsa-other@1:1.2.8-1?arch=arm64&distro=bookworm")

    def test_swift_packages(self):
        inside = self.related(self.described()["edge-aggregator"]["SPDXID"], "CONTAINS")
        self.assertEqual(inside["swift-runtime"]["versionInfo"], "6.2.3-1+b1")
        with open(f"{PROJECT}/Package.swift") as file:
            manifest = file.read()
        # Direct and indirect ones.
        for name in ("apple/swift-nio", "groue/GRDB.swift", "apple/swift-asn1", "swift-server/async-http-client"):
            version = re.search(f'"{name}", "([0-9.]+)"', manifest)[1]
            self.assertEqual(inside[name.split("/")[1]]["versionInfo"], version)
        self.assertEqual(len(inside), manifest.count('locked("') + 1)

    def test_card(self):
        card = self.described()["edge-aggregator-card"]
        # FIPS 180-2, example B.1: the sum of "abc".
        self.assertEqual(card["checksums"], [{"algorithm": "SHA256", "checksumValue":
                         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}])
        parts = self.related(card["SPDXID"], "CONTAINS")
        self.assertLessEqual({"libssl3", "base-files", "edge-aggregator", "BirdNET GLOBAL 6K"}, set(parts))
        self.assertNotIn("libgone", parts)

    def test_two_runs_are_equal(self):
        self.assertEqual(self.run_sbom(), self.text)


if __name__ == "__main__":
    unittest.main()
