# flashsale: the programs, their tests and the one-machine stack.
#
#   make demo   install what is missing, build, run the whole path, check it
#   make test   everything that proves it
#   make help   all targets
#
# Variables: CC CFLAGS LDFLAGS PREFIX DESTDIR; SAN=1 builds with ASan+UBSan
# into build/san instead, FAIL=1 with lib/failpoint.h's points into build/fail,
# both into build/fail/san; for the stack WEB=nginx|lighttpd PORT=
# QUEUE=sqs|redis SQS_SERVER=.
# SAN=fuzz is what `make fuzz` builds with: the same by clang, for libFuzzer.

PREFIX ?= /usr/local
BUILD_SAN := $(if $(filter fuzz,$(SAN)),/fuzz,/san)
OUT := build$(if $(FAIL),/fail)$(if $(SAN),$(BUILD_SAN))
OBJ := $(OUT)/obj

CC ?= cc
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wwrite-strings -Wformat=2 -Wvla -Werror
ifeq ($(SAN),fuzz)
FUZZ_CC ?= clang
override CC = $(FUZZ_CC)
HARDENING := -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
LINKING := -fsanitize=fuzzer,address,undefined
else ifdef SAN
HARDENING := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
LINKING := -fsanitize=address,undefined
else
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LINKING := -pie -Wl,-z,relro,-z,now,--as-needed
endif
# MariaDB's or MySQL's client library, whichever the system has.
MYSQL_CONFIG = $(firstword $(shell command -v mariadb_config mysql_config))
MYSQL_CFLAGS = $(shell $(MYSQL_CONFIG) --include)
MYSQL_LIBS = $(shell $(MYSQL_CONFIG) --libs)
# make V=1 shows the commands.
Q := $(if $(V),,@)
ALL_CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Ilib \
	$(WARNINGS) $(HARDENING) $(if $(FAIL),-DFAILPOINTS) $(MYSQL_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = $(LINKING) $(LDFLAGS)
LIBS = -lhiredis -lcurl -lcrypto -ljansson -lev -lm $(MYSQL_LIBS)

LIB_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard lib/*.c))
FCGI_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard fcgi/*.c))
WORKER_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard worker/*.c))
CLI_OBJS := $(patsubst %.c,$(OBJ)/%.o,$(wildcard cli/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(OUT)/tests/%,\
	$(wildcard tests/unit/test_*.c))
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$(OUT)/targets/%,\
	$(wildcard tests/fuzz/fuzz_*.c))
PROGRAMS := $(OUT)/flashsale-fcgi $(OUT)/flashsale-worker $(OUT)/flashsale

all: $(PROGRAMS) ## build the three programs (SAN=1: with sanitizers)

# --- Build ---------------------------------------------------------------

# A stamp, not a test of each header: the list of packages decides.
build/.packages-build: deploy/local/packages
	deploy/local/packages build
	@mkdir -p build && touch $@

# Other flags, other objects.
$(OBJ)/.flags: build/.packages-build FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(ALL_CFLAGS)' >$@

$(OBJ)/%.o: %.c $(OBJ)/.flags
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# References from assembler text are invisible to a link-time optimizer.
$(OBJ)/lib/scripts.o $(OBJ)/lib/migrations.o: ALL_CFLAGS += -fno-lto

# The scripts are assembled into the programs (.incbin).
$(OBJ)/lib/scripts.o: $(wildcard lua/*.lua)
# The migrations too.
$(OBJ)/lib/migrations.o: $(wildcard sql/*.sql)

$(OUT)/libflashsale.a: $(LIB_OBJS)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(OUT)/flashsale-fcgi: $(FCGI_OBJS) $(OUT)/libflashsale.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/flashsale-worker: $(WORKER_OBJS) $(OUT)/libflashsale.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/flashsale: $(CLI_OBJS) $(OUT)/libflashsale.a
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# A unit test sees lib/ and everything of fcgi/ but its main().
$(OUT)/tests/%: $(OBJ)/tests/unit/%.o $(filter-out %/main.o,$(FCGI_OBJS)) \
		$(OUT)/libflashsale.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka -lfcgi $(LIBS)

# test_cli_*: everything of cli/ instead.
$(OUT)/tests/test_cli_%: $(OBJ)/tests/unit/test_cli_%.o \
		$(filter-out %/main.o,$(CLI_OBJS)) $(OUT)/libflashsale.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

# The fuzzers likewise (SAN=fuzz only).
$(OUT)/targets/%: $(OBJ)/tests/fuzz/fuzz_%.o \
		$(filter-out %/main.o,$(FCGI_OBJS)) $(OUT)/libflashsale.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lfcgi $(LIBS)

$(OUT)/targets/cli_%: $(OBJ)/tests/fuzz/fuzz_cli_%.o \
		$(filter-out %/main.o,$(CLI_OBJS)) $(OUT)/libflashsale.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# The benchmark's bare loops, and what it puts into their way.
$(OUT)/bench/%: $(OBJ)/tests/bench/%.o $(OBJ)/tests/bench/crew.o \
		$(OUT)/libflashsale.a
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lfcgi $(LIBS)

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# --- One machine ---------------------------------------------------------

# Which web server, port, queue and SQS server: WEB= PORT= QUEUE= SQS_SERVER=
demo: all ## 1,000 buyers, 100 units: the whole path, and whether it adds up
	deploy/local/packages stack
	PROGRAMS=$(OUT) deploy/local/demo

up: all ## start the engine and all its parts on this machine
	deploy/local/packages stack
	PROGRAMS=$(OUT) deploy/local/stack up

down: ## stop them
	deploy/local/stack down

web: ## get the dashboard's chart library, for make install
	deploy/local/charts

# PLAN=race|spike|retry|soak, THREADS= RAMPUP= STOCK= DURATION=...
jmeter: all ## a JMeter plan against the running stack or its own (PLAN)
	deploy/local/packages stack jmeter
	PROGRAMS=$(OUT) jmeter/run $(or $(PLAN),race)

report: all ## run JMeter's race, draw pictures of it into build/report
	deploy/local/packages stack jmeter
	PROGRAMS=$(OUT) jmeter/run race
	jmeter/draw.py build/jmeter/race/race.jtl build/report

# --- Proof ---------------------------------------------------------------

# Plain for valgrind, and under ASan+UBSan.
JOBS ?= $(shell nproc)

test: ## everything that proves the engine
	deploy/local/packages build stack test
	$(MAKE) -j$(JOBS) all unit-tests
	$(MAKE) -j$(JOBS) SAN=1 all unit-tests
	$(MAKE) -j$(JOBS) FAIL=1 all
	deploy/local/packages browser || : # without them tests/run skips it
	deploy/local/packages jmeter || : # likewise
	@rm -rf build/fuzz/targets # without them tests/run skips the fuzzers
	if deploy/local/packages fuzz && command -v clang >/dev/null; then \
		$(MAKE) -j$(JOBS) SAN=fuzz fuzzers; fi
	tests/run

# SEED= ROUNDS= FIRST= FAULTS=name,name...
chaos: ## kill it at every step, at random, and compare the books (SEED ROUNDS)
	deploy/local/packages build stack standin test
	$(MAKE) -j$(JOBS) FAIL=1 all
	tests/chaos/run $(if $(SEED),--seed $(SEED)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(FIRST),--first $(FIRST)) \
		$(if $(FAULTS),--faults $(FAULTS))

chaos-sabotage: ## does the judge notice programs that break the promise?
	deploy/local/packages build stack standin test
	tests/chaos/sabotage/build
	tests/chaos/run --sabotage $(if $(SEED),--seed $(SEED))

browser-test: ## the pages, in headless Chromium
	deploy/local/packages build stack browser
	$(MAKE) -j$(JOBS) all
	tests/run browser

unit-tests: $(UNIT_TESTS)

fuzzers: $(FUZZERS)

# Which, and for how long each: FUZZ= SECONDS=
fuzz: ## feed the parsers what nobody would send
	deploy/local/packages build fuzz
	$(MAKE) -j$(JOBS) SAN=fuzz fuzzers
	SECONDS_EACH=$(SECONDS) tests/fuzz/run $(FUZZ)

BENCH_PROGRAMS := $(addprefix $(OUT)/bench/,send receive insert late hello)

bench: all $(BENCH_PROGRAMS) ## how fast it is here, beside what is possible
	deploy/local/packages stack bench
	PROGRAMS=$(OUT) tests/bench/run

lint: $(OUT)/flashsale-fcgi ## what compilers do not see
	deploy/local/packages build lint
	tests/lint

docs: $(OUT)/flashsale-fcgi ## write the table of settings into docs/settings.md
	sed '/^<!-- make docs/q' docs/settings.md >$(OUT)/settings.md
	$< --settings >>$(OUT)/settings.md
	mv $(OUT)/settings.md docs/settings.md

format: ## the house style, by clang-format
	deploy/local/packages lint
	clang-format-14 -i $(wildcard */*.[ch] tests/*/*.[ch])

clean: ## stop the stack and remove build/
	@if [ -e build/stack/env ]; then $(MAKE) --no-print-directory down; fi
	rm -rf build

# --- Installation --------------------------------------------------------

BINDIR = $(DESTDIR)$(PREFIX)/bin
SBINDIR = $(DESTDIR)$(PREFIX)/sbin
MANDIR = $(DESTDIR)$(PREFIX)/share/man
SHAREDIR = $(DESTDIR)$(PREFIX)/share/flashsale

# The examples speak of /usr/local until it is known where things went.
INSTALL_TEXT = install_text() { \
	sed 's|/usr/local|$(PREFIX)|g' "$$1" >"$$2" && chmod $$3 "$$2"; \
	}; install_text

install: all ## programs, manuals, examples and the storefront (DESTDIR PREFIX)
	install -d $(BINDIR) $(SBINDIR) $(SHAREDIR)/systemd $(SHAREDIR)/web
	install $(OUT)/flashsale $(BINDIR)
	install $(OUT)/flashsale-fcgi $(OUT)/flashsale-worker $(SBINDIR)
	for page in $(wildcard docs/man/*.[1-8]); do \
		install -D -m 644 $$page \
		    $(MANDIR)/man$${page##*.}/$${page##*/} || exit; \
	done
	for file in nginx.conf lighttpd.conf flashsale.env.example \
	    $(notdir $(wildcard deploy/systemd/*)); do \
		case $$file in flashsale-*) dir=systemd/ ;; *) dir= ;; esac; \
		$(INSTALL_TEXT) deploy/$$dir$$file \
		    $(SHAREDIR)/$$dir$$file 644 || exit; \
	done
	$(INSTALL_TEXT) deploy/spawn-fcgi $(SHAREDIR)/spawn-fcgi 755
	cp -R web/. $(SHAREDIR)/web
	if charts=$$(deploy/local/charts cached); then \
		install -d $(SHAREDIR)/web/vendor && \
		install -m 644 $$charts/* $(SHAREDIR)/web/vendor; \
	else echo "no charts for the dashboard: make web gets them"; fi

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | \
		expand -t 16

.PHONY: all clean test unit-tests fuzz fuzzers chaos bench lint docs format \
	demo up down web jmeter report browser-test install help FORCE
.DELETE_ON_ERROR:
.SECONDARY: $(patsubst %.c,$(OBJ)/%.o,\
	$(wildcard tests/unit/*.c tests/fuzz/*.c tests/bench/*.c))
