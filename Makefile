# Short words in front of CMake. Each target installs what is missing and builds first.
#   demo   run the demo batch to its results      test   build and run every test
#   bench  native, interpreter, recompiler; first use; batch; scheduler
#   asan, tsan   the tests under sanitizers       fuzz   every fuzzer, FUZZ_SECONDS each
#   valgrind     both engines under memcheck
#   docs   check the documents                    format, tidy   style
#   install  below /usr/local                     deb   Debian packages
.DEFAULT_GOAL := help
SHELL := /bin/sh
BUILD ?= build
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 30
# Longer tests with one thread have nothing for the thread sanitizer to see; vm_jit_debug, also of one thread, stops at each instruction,
# the sanitizer's own among them, which then waits for a lock that it holds.
ONE_THREAD := ^(vm_(jit_debug|jit_limits|jit_guests|jit_damage|pvm2?_.*|pvm|warm|warm_limits|escape.*|node|memory|kernel_mgmt|kernel_pvm|lockstep|kernel_lockstep)|\
pvm_guests|pvm_kernel_.*|guests|guest_(kernel_atomic|kernel_nomem|ed25519|secp256k1)|vectors_.*|v2_(store|calls|memory)|bundle|caps_(cnode|nomem|decode)|\
differential|qemu_agreement|translate|containers|corpus_.*|example_engine|link_.*|cc_cli|cli_(install|tutorial|native|bad_input.*|report_browser|usage))$$
# Mostly programs of others, or what other tests have had under the sanitizer.
OTHERS := ^(cli_(install|tutorial|slurm|scale|report_browser)|cc_cli|example_engine)$$
CTEST = ctest --test-dir $(1) -j $(JOBS) --output-on-failure --no-tests=error

.PHONY: help deps tools configure build demo test bench asan tsan fuzz valgrind docs guests format tidy install deb clean

help:
	@sed -n 's/^#   //p' Makefile

deps:
	@sh scripts/install-deps.sh
tools:
	@sh scripts/install-deps.sh --tools

configure: deps
	@cmake -S . -B $(BUILD) -G Ninja >/dev/null
build: configure
	@cmake --build $(BUILD) -j $(JOBS)

# The programs alone: compiling the tests takes several times as long.
demo: configure
	@cmake --build $(BUILD) -j $(JOBS) --target javm-batch javm-link javm-vectors
	@sh guest/demo/run.sh $(BUILD)

test: build
	@$(call CTEST,$(BUILD))

bench: build
	@sh bench/run.sh $(BUILD)

asan: deps
	@cmake -S . -B $(BUILD)-asan -G Ninja -DJAVM_SANITIZE=address,undefined >/dev/null
	@cmake --build $(BUILD)-asan -j $(JOBS)
	@$(call CTEST,$(BUILD)-asan) -E '$(OTHERS)'

tsan: deps
	@cmake -S . -B $(BUILD)-tsan -G Ninja -DJAVM_SANITIZE=thread >/dev/null
	@cmake --build $(BUILD)-tsan -j $(JOBS)
	@$(call CTEST,$(BUILD)-tsan) -E '$(subst | ,|,$(ONE_THREAD))'

fuzz: deps tools
	@cmake -S . -B $(BUILD)-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
	    -DJAVM_SANITIZE=address,undefined -DJAVM_FUZZ=ON >/dev/null
	@cmake --build $(BUILD)-fuzz -j $(JOBS) --target fuzzers
	@sh scripts/fuzz.sh $(BUILD)-fuzz $(FUZZ_SECONDS)

valgrind: tools build
	@sh scripts/valgrind.sh $(BUILD)

docs: build
	@python3 scripts/check-docs.py $(BUILD)

guests: build
	@sh scripts/install-deps.sh --guests
	@sh guest/build.sh

format: tools
	@git ls-files '*.c' '*.h' '*.cpp' | xargs clang-format -i
tidy: build tools
	@sh scripts/tidy.sh $(BUILD)

install: build
	@cmake --install $(BUILD)
# Debian packages, in $(BUILD).
deb: build
	@sh scripts/install-deps.sh --deb
	@cd $(BUILD) && cpack -G DEB

clean:
	@rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz
