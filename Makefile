# pathstats: one Makefile; what CI runs is what a person runs. `make help` lists the targets.
#
#   make            build/pathstats          make test       the light suites, minutes
#   make run        deps, build, serve       make test-all   plus long and real-server suites
#   SAN=address,undefined or SAN=thread builds and tests into a folder of its own. V=1 shows commands.

VERSION := 0.1.0
CC      ?= gcc
comma   := ,
Q       := $(if $(V),,@)
QUIET   := $(findstring s,$(filter-out -%,$(firstword $(MAKEFLAGS))))
BUILD   := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
CFLAGS  ?= -O2 -g
ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -DPS_VERSION='"$(VERSION)"' -Isrc $(WARN) -ffp-contract=off -pthread \
             $(CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
LIBS    := -lsqlite3 -lmicrohttpd -lcurl -lcrypto -lz -ldeflate -linih -pthread
LDFLAGS += $(if $(SAN),-fsanitize=$(SAN))

MAIN    := src/cli/main.c
SRC     := $(filter-out $(MAIN),$(wildcard src/*/*.c src/*/*/*.c))
OBJ     := $(SRC:%.c=$(BUILD)/%.o)
SQL_INC := $(BUILD)/gen/migrations.inc
TESTS   := $(wildcard tests/unit/*_test.c tests/contract/*_test.c tests/sim/*_test.c tests/fault/*_test.c tests/cases/*_test.c)
TESTBIN := $(TESTS:%.c=$(BUILD)/%)
FUZZ    := $(wildcard tests/fuzz/*_fuzz.c)

.PHONY: all run deps deps-test test test-all fuzz bench wasm format lint check-rooms clean help install
all: $(BUILD)/pathstats

run:
	@$(MAKE) --no-print-directory deps
	@[ -x $(BUILD)/pathstats ] || echo "building, a minute (V=1 shows the commands)"
	@$(MAKE) --no-print-directory all
	$(Q)exec $(BUILD)/pathstats serve --data-dir data

deps:
	$(Q)tools/deps.sh build

deps-test:
	$(Q)tools/deps.sh test

$(BUILD)/libpathstats.a: $(OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(BUILD)/pathstats: $(BUILD)/src/cli/main.o $(BUILD)/libpathstats.a
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
	@$(if $(QUIET),,echo "built $@")

# The manual page comes out of the binary: one table tells --help and this.
$(BUILD)/pathstats.1: $(BUILD)/pathstats
	$(Q)$(BUILD)/pathstats help --man >$@.new && mv $@.new $@

# Migrations travel inside the binary: each .sql becomes a C string, in the order of its number.
$(SQL_INC): $(sort $(wildcard src/backend/sqlite/migrations/*.sql)) tools/embed_sql.sh
	@mkdir -p $(@D)
	$(Q)tools/embed_sql.sh src/backend/sqlite/migrations > $@

$(BUILD)/src/backend/sqlite/%.o: ALL_CFLAGS += -I$(BUILD)/gen
$(OBJ): | $(SQL_INC)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%_test: tests/%_test.c $(wildcard tests/support/*.c) $(BUILD)/libpathstats.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP $(LDFLAGS) -o $@ $(filter %.c %main.o,$^) $(BUILD)/libpathstats.a -lcmocka -ljansson $(LIBS)

# The runner of tests/cases is a source of its own, because WebAssembly gets it too.
$(BUILD)/tests/cases/cases_test: $(filter-out %_test.c %wasm.c,$(wildcard tests/cases/*.c))

# The sweeps run the whole command line in children they fork: its main gets another name.
$(BUILD)/tests/support/pathstats_main.o: $(BUILD)/src/cli/main.o
	@mkdir -p $(@D)
	$(Q)objcopy --redefine-sym main=pathstats_main $< $@

$(BUILD)/tests/fault/disk_sweep_test: LDFLAGS += $(foreach f,malloc calloc realloc strdup mmap,-Wl$(comma)--wrap=$f)
SWEEP := $(wildcard tests/fault/sweep/*.c)
$(BUILD)/tests/fault/disk_sweep_test: $(SWEEP) $(wildcard tests/fault/sweep/*.h) $(BUILD)/tests/support/pathstats_main.o

test: deps-test check-rooms $(BUILD)/pathstats $(TESTBIN)
	$(Q)BUILD=$(BUILD) tools/run_tests.sh light

test-all: deps-test check-rooms $(BUILD)/pathstats $(TESTBIN)
	$(Q)BUILD=$(BUILD) tools/run_tests.sh all

check-rooms:
	@tools/check_rooms.sh

wasm:
	tools/build_wasm.sh

fuzz:
	tools/fuzz.sh $(SECONDS_EACH)

bench: bench-deps $(BUILD)/pathstats
	BUILD=$(BUILD) bench/run.sh

bench-record: bench-deps $(BUILD)/pathstats
	BUILD=$(BUILD) bench/run.sh record

bench-deps:
	@BUILD=$(BUILD) bench/deps.sh

bench-instructions: $(BUILD)/pathstats
	BUILD=$(BUILD) bench/instructions.sh

.PHONY: bench-record bench-deps bench-instructions

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

lint:
	clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')

install: all $(BUILD)/pathstats.1
	install -D -m 755 $(BUILD)/pathstats $(DESTDIR)/usr/local/bin/pathstats
	install -D -m 644 $(BUILD)/pathstats.1 $(DESTDIR)/usr/local/share/man/man1/pathstats.1

clean:
	rm -rf build

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -6

-include $(OBJ:.o=.d) $(BUILD)/src/cli/main.d $(TESTBIN:%=%.d)
