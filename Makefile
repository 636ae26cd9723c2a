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
DIST ?= $(BASE_DIR)/dist$(if $(filter debug,$(BUILD)),-debug)
ARCH ?= arm64
DEB ?=
KERNEL ?=
VERSION = $(shell sed -n 's/.*static let text = "\(.*\)".*/\1/p' Sources/EdgeAggregator/API/Version.swift)
PACKAGE = $(DIST)/edge-aggregator_$(VERSION)_$(shell dpkg --print-architecture).deb
MODELS ?= yes
EDGE_YAML ?=
MINUTES ?= 10
SANITIZER ?= both
SEEDS ?= new
SUITES ?= IntegrationTests

.PHONY: help run build deb image bundle update-dependencies test-image test-appliance test-power test-kills test-container setup setup-tests test test-only test-upgrade test-hardware test-embedded lint format fuzz test-faults test-sanitized test-threads bench docs clean

help:
	@echo "make run          set up, build and start the daemon on 127.0.0.1:8000"
	@echo "make test         set up and run all tests"
	@echo "make deb          the Debian package, for this machine's processor"
	@echo "make image        a card: ARCH=arm64 DEB=package KERNEL=folder EDGE_YAML=file; make bundle: a signed update"
	@echo "make lint         format and language checks"
	@echo "make test-faults  200 kills, a full disk, and attacks beside honest senders (make test has the short form)"
	@echo "make test-upgrade  upgrade, rollback and upgrade again; OLD=program of an older version"
	@echo "make test-hardware  GPIO, I2C, serial and sound in an emulated machine with a real kernel"
	@echo "make test-appliance  the card with systemd: hardening, watchdog, safe mode, updates"
	@echo "make test-image   the arm64 card, assembled and started"
	@echo "make test-power   50 power cuts, on a disk that fills and fails in between; disks that lie"
	@echo "make test-kills   100 kills on a disk that fills, loses its inodes and fails to sync"
	@echo "make test-container  the container's image and its health check"
	@echo "make test-embedded  the sensor drivers on arm64"
	@echo "make test-sanitized MINUTES=n  the whole daemon under AddressSanitizer and ThreadSanitizer"
	@echo "make fuzz         ten million inputs for the decoders, under the address sanitizer"
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

# The daemon's package, for the processor of this machine; with the Swift runtime inside.
deb: build
	@scripts/setup-image.sh
	@image/deb/build.sh $(DIST) $(PROGRAM)

# A card. ARCH=arm64 wants DEB, a package built on a Pi or another arm64 machine; without it a stand-in takes the daemon's place.
image:
	@scripts/setup-image.sh
	@if [ "$(MODELS)" = yes ]; then MACHINE=$(if $(filter arm64,$(ARCH)),aarch64,x86_64) scripts/fetch-models.sh $(BASE_DIR)/models-$(ARCH) $(SAMPLES_DIR); fi
	@image/card/build.sh --arch $(ARCH) $(if $(DEB),--deb $(DEB)) $(if $(KERNEL),--kernel $(KERNEL)) $(if $(filter yes,$(MODELS)),--models $(BASE_DIR)/models-$(ARCH)) \
		$(if $(EDGE_YAML),--edge-yaml $(EDGE_YAML)) $(DIST)/edge-aggregator-$(ARCH).img

# An update for boxes with such a card, signed with the key of var/image/keys.
bundle:
	@ARCH=$(ARCH) image/card/bundle.sh $(DIST)/edge-aggregator-$(ARCH).img $(VERSION) \
		$(DIST)/edge-aggregator-$(ARCH).raucb

run: build
	BASE_DIR="$${BASE_DIR:-$(BASE_DIR)}" $(PROGRAM) run --sample $(SAMPLE)

TEST_FOLDERS = EDGE_MODELS_DIR="$(abspath $(MODELS_DIR))" EDGE_SAMPLES_DIR="$(abspath $(SAMPLES_DIR))" EDGE_TEST_SERVERS="$(abspath $(TEST_SERVERS))"

test: setup-tests
	$(TEST_FOLDERS) swift test

# Those that EDGE_FILTER (a regular expression) names.
test-only: setup-tests
	$(TEST_FOLDERS) swift test --filter "$(EDGE_FILTER)"

lint:
	@scripts/lint.sh

format:
	swift format format --in-place --recursive --parallel Package.swift Sources Tests Benchmarks

fuzz:
	Tests/Fuzz/run.sh

test-faults: setup-tests
	EDGE_KILLS=200 EDGE_ATTACK_SECONDS=15 $(TEST_FOLDERS) swift test --filter 'KillTests|FullDiskTests|DeliveryTests|AttackTests|HostileUploadTests'

# Without OLD, the version of the fixtures is built from its commit.
test-upgrade: build setup-tests
	$(TEST_FOLDERS) Tests/Upgrade/run.sh $(PROGRAM) $(BASE_DIR)/upgrade $(OLD)

test-hardware: setup
	@scripts/fetch-hardware-rig.sh $(HARDWARE_RIG)
	Tests/Hardware/run.sh $(HARDWARE_RIG)

test-appliance: deb setup-tests
	@scripts/fetch-hardware-rig.sh $(HARDWARE_RIG)
	Tests/Appliance/run.sh $(HARDWARE_RIG) $(SAMPLE) $(MODELS_DIR) $(PACKAGE) $(PARTS)

test-image: setup
	@scripts/setup-image.sh
	@MACHINE=aarch64 scripts/fetch-models.sh $(BASE_DIR)/models-arm64 $(SAMPLES_DIR)
	Tests/Appliance/arm64.sh $(SAMPLE) $(MODELS_DIR) $(BASE_DIR)/models-arm64

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
