# The targets that matter: `make run` and `make test`. Each installs and fetches what is missing first.

SHELL := /bin/bash
BASE_DIR ?= ./var
MODELS_DIR ?= $(BASE_DIR)/models
SAMPLES_DIR ?= $(BASE_DIR)/samples
TEST_SERVERS ?= $(BASE_DIR)/test-servers
HARDWARE_RIG ?= $(BASE_DIR)/hardware
SAMPLE = $(SAMPLES_DIR)/birds_10s.wav
RELEASE = .build/release/edge-aggregator

.PHONY: help run build setup setup-tests test test-only test-hardware test-embedded lint format fuzz test-faults test-threads bench docs clean

help:
	@echo "make run          set up, build and start the daemon on 127.0.0.1:8000"
	@echo "make test         set up and run all tests"
	@echo "make lint         format and language checks"
	@echo "make test-faults  200 kills and a full disk (make test has the short form)"
	@echo "make test-hardware  GPIO, I2C, serial and sound in an emulated machine with a real kernel"
	@echo "make test-embedded  the sensor drivers on arm64"
	@echo "make test-threads the pipeline under the thread sanitizer"
	@echo "make fuzz         ten million inputs for the decoders, under the address sanitizer"
	@echo "make bench        the figures of docs/performance.md"
	@echo "make docs         write docs/settings.md anew from the code"

setup:
	@scripts/setup.sh
	@scripts/fetch-models.sh $(MODELS_DIR) $(SAMPLES_DIR)

setup-tests: setup
	@scripts/fetch-test-servers.sh $(TEST_SERVERS)

build: setup
	swift build -c release --product edge-aggregator

run: build
	BASE_DIR="$${BASE_DIR:-$(BASE_DIR)}" $(RELEASE) run --sample $(SAMPLE)

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
	EDGE_KILLS=200 $(TEST_FOLDERS) swift test --filter 'KillTests|FullDiskTests|DeliveryTests'

test-hardware: setup
	@scripts/fetch-hardware-rig.sh $(HARDWARE_RIG)
	Tests/Hardware/run.sh $(HARDWARE_RIG)

test-embedded: setup
	@scripts/fetch-hardware-rig.sh $(HARDWARE_RIG)
	Tests/Embedded/run.sh

test-threads: setup-tests
	EDGE_THREAD_SANITIZER=1 TSAN_OPTIONS="halt_on_error=0 exitcode=66" $(TEST_FOLDERS) \
		swift test --sanitize=thread --scratch-path .build-threads --filter 'PipelineTests|CO2UnitTests|PiWardriveUnitTests|ForecastTests'

bench: setup
	Benchmarks/run.sh

docs:
	swift run edge-aggregator settings reference > docs/settings.md

clean:
	swift package clean
