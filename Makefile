# The targets that matter: `make run` and `make test`. Each installs and fetches what is missing first.

SHELL := /bin/bash
BASE_DIR ?= ./var
MODELS_DIR ?= $(BASE_DIR)/models
SAMPLES_DIR ?= $(BASE_DIR)/samples
TEST_SERVERS ?= $(BASE_DIR)/test-servers
HARDWARE_RIG ?= $(BASE_DIR)/hardware
SAMPLE = $(SAMPLES_DIR)/birds_10s.wav
# Always with the Swift runtime inside: what is run here is what is packaged. BUILD=debug takes what the tests built, linked anew in
# seconds, for continuous integration.
BUILD ?= release
ifeq ($(BUILD),debug)
PROGRAM = .build/debug-static/edge-aggregator
BUILD_PROGRAM = swift build --product edge-aggregator && scripts/link-static.py $(PROGRAM)
else
PROGRAM = .build/$(BUILD)/edge-aggregator
# Without debug information, which packages strip anyway: making it takes a tenth of the compilers' time.
BUILD_PROGRAM = swift build -c $(BUILD) --static-swift-stdlib -debug-info-format none --product edge-aggregator
endif
CUTS ?= 50
KILLS ?= 100
OLD ?=
PARTS ?=
NAMES ?=
DIST ?= $(BASE_DIR)/dist$(if $(filter debug,$(BUILD)),-debug)
# The processor and the release of Debian for which packages are made: this machine's, unless something else is asked for.
HOST_ARCH := $(shell dpkg --print-architecture)
HOST_RELEASE := $(shell . /etc/os-release && echo $$VERSION_CODENAME)
HOST_NUMBER := $(shell . /etc/os-release && echo $${VERSION_ID%%.*})
ARCH ?= $(HOST_ARCH)
RELEASE ?= $(HOST_RELEASE)
# Cards are for a Pi, unless ARCH is given.
CARD_ARCH := $(if $(filter file,$(origin ARCH)),arm64,$(ARCH))
CARD_RELEASE := $(if $(filter file,$(origin RELEASE)),bookworm,$(RELEASE))
# The compiler and the libraries for other targets than this machine.
CROSS ?= $(BASE_DIR)/cross
IS_NATIVE := $(if $(and $(filter $(HOST_ARCH),$(ARCH)),$(filter $(HOST_RELEASE),$(RELEASE))),yes)
DEBIAN_bookworm = 12
DEBIAN_trixie = 13
cross_output = $(CROSS)/out/$(1)-$(2)-$(BUILD)
package = $(DIST)/edge-aggregator_$(VERSION)+deb$(or $(DEBIAN_$(1)),$(HOST_NUMBER))_$(2).deb
DEB ?=
KERNEL ?=
VERSION = $(shell sed -n 's/.*static let text = "\(.*\)".*/\1/p' Sources/EdgeAggregator/API/Version.swift)
CARD_DEB = $(or $(DEB),$(call package,$(CARD_RELEASE),$(CARD_ARCH)))
MODELS ?= yes
EDGE_YAML ?=
MINUTES ?= 10
SANITIZER ?= both
SEEDS ?= new
SUITES ?= IntegrationTests
TREE ?=
DESTDIR ?=
PREFIX ?=

.PHONY: help run build install deb image bundle container release check-reproducible test-archive update-dependencies test-image test-arm64 test-appliance test-power test-kills test-container setup setup-tests test test-only test-readme test-migration test-upgrade test-hardware test-embedded lint format fuzz test-memory test-faults test-sanitized test-threads bench count docs clean

help:
	@echo "make run          set up, build and start the daemon on 127.0.0.1:8000"
	@echo "make test         set up and run all tests"
	@echo "make deb          the Debian package; ARCH=arm64|amd64 RELEASE=bookworm|trixie for another machine than this one"
	@echo "make install      program, unit and settings on this machine without the package, as root after make build; DESTDIR=folder PREFIX=/usr/local"
	@echo "make image        a card for a Pi: RELEASE=bookworm|trixie DEB=package KERNEL=folder EDGE_YAML=file; make bundle: a signed update"
	@echo "make container    an archive for docker load: ARCH=arm64|amd64; make test-archive: started"
	@echo "make release      packages, card, update, containers, sums; make check-reproducible: made again and compared"
	@echo "make lint         format and language checks"
	@echo "make test-readme  every command of README.md, run as written in a fresh copy"
	@echo "make test-migration  every command of docs/migrating.md, on data of the replaced systems; PARTS=\"co2 isems\"; as root"
	@echo "make test-faults  200 kills, a full disk, and attacks beside honest senders (make test has the short form)"
	@echo "make test-upgrade  upgrade, rollback and upgrade again; OLD=program of an older version"
	@echo "make test-hardware  GPIO, I2C, serial and sound in an emulated machine with a real kernel"
	@echo "make test-appliance  the card with systemd: hardening, watchdog, safe mode, updates"
	@echo "make test-image   the arm64 card with the daemon, started in an emulated board; PARTS=\"pi5 pi4 update kernel\""
	@echo "make test-arm64   the arm64 daemon under emulation; PARTS=\"scores golden suites units\""
	@echo "make test-power   50 power cuts, on a disk that fills and fails in between; disks that lie"
	@echo "make test-kills   100 kills on a disk that fills, loses its inodes and fails to sync"
	@echo "make test-container  the container's image and its health check"
	@echo "make test-embedded  the sensor drivers on arm64"
	@echo "make test-sanitized MINUTES=n  the whole daemon under AddressSanitizer and ThreadSanitizer"
	@echo "make fuzz         ten million inputs for the decoders, under the address sanitizer"
	@echo "make test-memory  a load in a memory cgroup of 768 MB"
	@echo "make count        instructions on arm64 and amd64, counted by an emulator"
	@echo "make bench        the figures of docs/performance.md"
	@echo "make docs         write docs/settings.md anew from the code"
	@echo "make update-dependencies  the newest versions of the Swift packages, written into Package.swift"

setup:
	@scripts/setup.sh
	@scripts/fetch-models.sh $(MODELS_DIR) $(SAMPLES_DIR)

setup-tests: setup
	@scripts/fetch-test-servers.sh $(TEST_SERVERS)

build: setup
	$(BUILD_PROGRAM)

# Without the Debian package. It builds nothing, because root does not: `make build` comes first. image/install.sh describes the variables.
install:
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" image/install.sh $(PROGRAM)

# The daemon's package, with the Swift runtime inside. For another processor or release than this machine's it is cross-built.
deb:
ifeq ($(IS_NATIVE),yes)
	@$(MAKE) --no-print-directory build
	@scripts/setup-image.sh
	@image/deb/build.sh $(DIST) $(PROGRAM)
else
	@scripts/cross/check.sh $(RELEASE) $(ARCH)
	@scripts/setup-image.sh
	@scripts/cross/build.sh $(RELEASE) $(ARCH) $(BUILD) $(CROSS) $(call cross_output,$(RELEASE),$(ARCH))
	@image/deb/build.sh $(DIST) $(call cross_output,$(RELEASE),$(ARCH))/edge-aggregator $(RELEASE) $(ARCH) $(CROSS)
endif

# A card with the daemon: of DEB, or of a package that is built first.
image:
ifeq ($(DEB),)
	@$(MAKE) --no-print-directory deb ARCH=$(CARD_ARCH) RELEASE=$(CARD_RELEASE)
endif
	@scripts/setup-image.sh
	@if [ "$(MODELS)" = yes ]; then MACHINE=$(if $(filter arm64,$(CARD_ARCH)),aarch64,x86_64) scripts/fetch-models.sh $(BASE_DIR)/models-$(CARD_ARCH) $(SAMPLES_DIR); fi
	@image/card/build.sh --arch $(CARD_ARCH) --release $(CARD_RELEASE) --deb $(CARD_DEB) $(if $(KERNEL),--kernel $(KERNEL)) \
		$(if $(filter yes,$(MODELS)),--models $(BASE_DIR)/models-$(CARD_ARCH)) $(if $(EDGE_YAML),--edge-yaml $(EDGE_YAML)) \
		$(DIST)/edge-aggregator-$(CARD_ARCH).img

# An update for boxes with such a card, signed with the key of var/image/keys.
bundle:
	@ARCH=$(CARD_ARCH) image/card/bundle.sh $(DIST)/edge-aggregator-$(CARD_ARCH).img $(VERSION) \
		$(DIST)/edge-aggregator-$(CARD_ARCH).raucb

# A container's archive, of DEB or of a package that is built first.
container:
ifeq ($(DEB),)
	@$(MAKE) --no-print-directory deb ARCH=$(ARCH) RELEASE=$(CARD_RELEASE)
endif
	@scripts/setup-image.sh
	@if [ "$(MODELS)" = yes ]; then MACHINE=$(if $(filter arm64,$(ARCH)),aarch64,x86_64) scripts/fetch-models.sh $(BASE_DIR)/models-$(ARCH) $(SAMPLES_DIR); fi
	@image/container/build.sh --arch $(ARCH) --release $(CARD_RELEASE) --deb $(or $(DEB),$(call package,$(CARD_RELEASE),$(ARCH))) \
		$(if $(filter yes,$(MODELS)),--models $(BASE_DIR)/models-$(ARCH)) $(DIST)/edge-aggregator-container-$(ARCH).tar

# Everything that is published, with sums and a list of what is in it. docs/releasing.md.
release:
	@scripts/setup-image.sh
	@CROSS="$(CROSS)" MODELS="$(MODELS)" KERNEL="$(KERNEL)" BUILD="$(BUILD)" scripts/release.sh $(DIST)/release-$(VERSION)

check-reproducible:
	@CROSS="$(CROSS)" MODELS="$(MODELS)" KERNEL="$(KERNEL)" BUILD="$(BUILD)" scripts/check-reproducible.sh $(DIST)/release-$(VERSION)

# settings.yaml names the data folder. A BASE_DIR of make's command line or environment reaches the program and wins.
run: build
	$(PROGRAM) run --sample $(SAMPLE)

TEST_FOLDERS = EDGE_MODELS_DIR="$(abspath $(MODELS_DIR))" EDGE_SAMPLES_DIR="$(abspath $(SAMPLES_DIR))" EDGE_TEST_SERVERS="$(abspath $(TEST_SERVERS))"

test: setup-tests
	$(TEST_FOLDERS) swift test

# Those that EDGE_FILTER (a regular expression) names.
test-only: setup-tests
	$(TEST_FOLDERS) swift test --filter "$(EDGE_FILTER)"

# BUILD=debug compiles nothing but the program; otherwise all is done as for a newcomer. TREE=yes takes uncommitted files too.
ifeq ($(BUILD),debug)
test-readme: build
	Tests/README/run.py $(if $(TREE),--tree) --program $(PROGRAM) --models $(MODELS_DIR) --samples $(SAMPLES_DIR)
else
test-readme:
	Tests/README/run.py $(if $(TREE),--tree)
endif

# PARTS names parts of the page.
test-migration: build setup-tests
	@scripts/install-packages.sh test-migration curl sqlite3
	Tests/Migration/run.py --program $(PROGRAM) --models $(MODELS_DIR) --samples $(SAMPLES_DIR) --servers $(TEST_SERVERS) $(PARTS)

lint:
	@scripts/lint.sh

format:
	swift format format --in-place --recursive --parallel Package.swift Sources Tests Benchmarks

fuzz:
	Tests/Fuzz/run.sh

# Under a load, with the memory of a small board.
test-memory: build
	Tests/Memory/run.py $(PROGRAM) $(MODELS_DIR) $(SAMPLES_DIR)

# Instructions on arm64 and amd64; NAMES="window gigabyte lines" for some of them.
count: setup
	@for arch in amd64:x86_64 arm64:aarch64; do MACHINE=$${arch#*:} scripts/fetch-models.sh $(BASE_DIR)/models-$${arch%:*} $(SAMPLES_DIR) || exit; done
	Benchmarks/Counts/run.sh $(CROSS) $(CARD_RELEASE) $(BUILD) $(NAMES)

test-faults: setup-tests
	EDGE_KILLS=200 EDGE_ATTACK_SECONDS=15 $(TEST_FOLDERS) swift test --filter 'KillTests|FullDiskTests|DeliveryTests|AttackTests|HostileUploadTests'

# Without OLD, the version of the fixtures is built from its commit.
test-upgrade: build setup-tests
	$(TEST_FOLDERS) Tests/Upgrade/run.sh $(PROGRAM) $(BASE_DIR)/upgrade $(OLD)

test-hardware: setup
	@scripts/fetch-hardware-rig.sh $(HARDWARE_RIG)
	Tests/Hardware/run.sh $(HARDWARE_RIG)

# In emulated machines of this processor, whatever ARCH says.
test-appliance: setup-tests
	@$(MAKE) --no-print-directory deb ARCH=$(HOST_ARCH) RELEASE=$(HOST_RELEASE)
	@scripts/fetch-hardware-rig.sh $(HARDWARE_RIG)
	Tests/Appliance/run.sh $(HARDWARE_RIG) $(SAMPLE) $(MODELS_DIR) $(call package,$(HOST_RELEASE),$(HOST_ARCH)) $(PARTS)

test-image: setup
	@$(MAKE) --no-print-directory deb ARCH=arm64 RELEASE=$(CARD_RELEASE)
	@MACHINE=aarch64 scripts/fetch-models.sh $(BASE_DIR)/models-arm64 $(SAMPLES_DIR)
	Tests/Appliance/arm64.sh $(call package,$(CARD_RELEASE),arm64) $(CARD_RELEASE) $(SAMPLE) $(MODELS_DIR) $(BASE_DIR)/models-arm64 $(PARTS)

# The cross-built program under qemu's user mode emulation. Tests/ARM64/run.sh describes PARTS.
test-arm64: setup-tests
	@scripts/setup-image.sh
	@MACHINE=aarch64 scripts/fetch-models.sh $(BASE_DIR)/models-arm64 $(SAMPLES_DIR)
	@scripts/cross/build.sh $(CARD_RELEASE) arm64 $(BUILD) $(CROSS) $(call cross_output,$(CARD_RELEASE),arm64)
	$(TEST_FOLDERS) ARM64_MODELS_DIR="$(abspath $(BASE_DIR))/models-arm64" \
		Tests/ARM64/run.sh $(call cross_output,$(CARD_RELEASE),arm64)/edge-aggregator $(CROSS) $(CARD_RELEASE) $(PARTS)

# The archive of `make container`, unpacked and started.
test-archive: container
	Tests/Container/archive.sh $(DIST)/edge-aggregator-container-$(ARCH).tar $(ARCH)

test-power: build
	@scripts/setup-image.sh
	python3 Tests/Power/run.py $(PROGRAM) $(BASE_DIR)/power $(CUTS)

test-kills: build
	python3 Tests/Power/kills.py $(PROGRAM) $(BASE_DIR)/kills $(KILLS)

test-container: build
	@scripts/setup-image.sh
	Tests/Container/run.sh $(PROGRAM) $(BASE_DIR)/image

test-embedded: setup
	@scripts/fetch-hardware-rig.sh $(HARDWARE_RIG)
	Tests/Embedded/run.sh

# The byte oracle and the integration suites against the whole daemon under AddressSanitizer and ThreadSanitizer.
# scripts/test-sanitized.sh describes the variables.
test-sanitized: setup-tests
	$(TEST_FOLDERS) SANITIZER="$(SANITIZER)" SEEDS="$(SEEDS)" MINUTES="$(MINUTES)" SUITES="$(SUITES)" scripts/test-sanitized.sh

# The ThreadSanitizer half, under its former name.
test-threads:
	$(MAKE) test-sanitized SANITIZER=thread

bench: setup
	Benchmarks/run.sh

docs:
	swift run edge-aggregator settings reference > docs/settings.md

# One command and one commit; a new major version is written into Package.swift by hand.
update-dependencies:
	scripts/dependencies.py update

clean:
	swift package clean
