/* disk_sweep_test.c - serve, import, archive, restore and replay on a disk that fails.
 *
 *     disk_sweep_test                    a sample of all cases, for `make test`
 *     disk_sweep_test all [SCENARIO…]    every call of the disk × every fault, kill and power loss
 *     disk_sweep_test memory [SCENARIO…] every allocation that fails
 *     disk_sweep_test case SCENARIO WHAT NUMBER      one, as a failure names it
 *
 * After each: what was acknowledged is there (I3), nothing is there twice (I1), the audit finds no
 * difference, and nothing is stuck: within ten seconds of a fault that has passed the server goes
 * on by itself, or it has ended and said why.
 *
 * SEED chooses the order, the sample, and what of unsynced pages arrives. When SWEEP_SECONDS are
 * over, what is left of a scenario is left out, and the last line says how much.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fault/sweep/cases.h"
#include "fault/sweep/sweep.h"
#include "support/power_loss.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORKERS = 6, /* more than processors: those on a failing disk mostly wait */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    SAMPLE_CASES = 12, /* of each list: those take their time */
#else
    SAMPLE_CASES = 30,
#endif
    SHOWN_MAX = 6,
    DEFAULT_SECONDS = 280,
    DEFAULT_SEED = 20251015, /* the same every day: a suite that is red now and then helps nobody */
};

/* Shared by the workers. */
struct totals {
    _Atomic size_t next;
    _Atomic unsigned tried[HOW_COUNT], befell, lost, doubled, stuck, wrong, shown;
};

/* The undisturbed run of a scenario. */
struct reference {
    const struct scenario *scenario;
    char base[PATH_MAX / 4], disk[PATH_MAX / 4], journal[PATH_MAX / 4];
    char state[SWEEP_STATE_MAX];
    char secret[65];
    struct power_loss *loss;
    uint64_t calls, allocations;
};

static char where[PATH_MAX / 8];
static uint64_t seed;
static struct totals *totals;
static struct faulty_control *control; /* of this worker's child */

static void *shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

/* --- judging --- */

static long count_lines(const char *state, const char *kind)
{
    long n = 0;
    for (const char *at = state; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        n += strncmp(at, kind, strlen(kind)) == 0;
    }
    return n;
}

/* The first line of `a` that `b` has not. */
static void first_difference(const char *a, const char *b, char to[256])
{
    to[0] = '\0';
    for (const char *at = a; *at != '\0'; at += strcspn(at, "\n") + 1) {
        char line[512];
        snprintf(line, sizeof line, "%.*s\n", (int)strcspn(at, "\n"), at);
        if (strstr(b, line) == NULL) {
            snprintf(to, 256, "%.*s", (int)strcspn(at, "\n"), at);
            return;
        }
    }
}

static void compare(const struct reference *ref, struct attempt *a, const char *when)
{
    static char state[SWEEP_STATE_MAX];
    char gone[256], fresh[256];
    if (a->why[0] != '\0')
        return;
    describe(a->data, state);
    if (strcmp(state, ref->state) == 0)
        return;
    first_difference(ref->state, state, gone);
    first_difference(state, ref->state, fresh);
    long missing = count_lines(ref->state, "event ") - count_lines(state, "event ");
    if (missing > 0)
        atomic_fetch_add(&totals->lost, 1);
    else if (strncmp(fresh, "row ", 4) == 0 || strncmp(fresh, "event ", 6) == 0)
        atomic_fetch_add(&totals->doubled, 1);
    snprintf(a->why, sizeof a->why, "%s: \"%s\" is there instead of \"%s\"", when, fresh, gone);
}

static void check_letters(const struct reference *ref, struct attempt *a)
{
    long letters = count_letters(a->data);
    if (a->why[0] != '\0' ||
        (letters >= ref->scenario->letters && letters <= ref->scenario->letters_max))
        return;
    if (letters < ref->scenario->letters)
        atomic_fetch_add(&totals->lost, 1);
    snprintf(a->why, sizeof a->why, "%ld dead letters", letters);
}

static void audit(struct attempt *a)
{
    static struct run r;
    const char *argv[] = {"verify", NULL};
    if (a->why[0] == '\0' && run_command(&r, a->data, argv, NULL) != 0)
        snprintf(a->why, sizeof a->why, "verify: %.800s", r.text);
}

/* --- one case --- */

static int new_journal(const char *file)
{
    unlink(file);
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        abort();
    return fd;
}

/* The power fails: the attempt goes on with the disk that is left. */
static void cut_power(const struct reference *ref, const struct one_case *c,
                      const struct power_loss *loss, size_t records, struct attempt *a,
                      const char *disk)
{
    char secret[65];
    remove_folder(disk);
    if (!power_loss_rebuild(loss, records, c->mode, seed ^ c->number, disk)) {
        snprintf(a->why, sizeof a->why, "the disk cannot be rebuilt");
        return;
    }
    memset(a->acknowledged, 0, sizeof a->acknowledged);
    bool any = false;
    for (size_t i = 0; i < records; i++) {
        unsigned b;
        if (sscanf(power_loss_path(loss, i), "acknowledged %u", &b) == 1 && b < SWEEP_BATCHES_MAX)
            any = a->acknowledged[b] = true;
    }
    read_secret_file(a->data, secret);
    if ((any || a->done) && strcmp(secret, ref->secret) != 0)
        snprintf(a->why, sizeof a->why, "the secret is lost, and events were acknowledged");
}

static void lose_power(const struct reference *ref, const struct one_case *c, struct attempt *a,
                       const char *disk)
{
    a->done =
        c->number == power_loss_count(ref->loss) && strncmp(ref->scenario->name, "serve", 5) != 0;
    cut_power(ref, c, ref->loss, c->number, a, disk);
}

/* A sync says that it failed, the program goes on or begins again, and then the power fails. */
static void lose_sync_and_power(const struct reference *ref, const struct one_case *c,
                                struct attempt *a, const char *disk, const char *journal)
{
    a->plan.journal = new_journal(journal);
    ref->scenario->run(a);
    close(a->plan.journal);
    a->plan.journal = -1;
    char secret[65];
    read_secret_file(a->data, secret);
    struct power_loss *loss = power_loss_open(disk, ref->base, journal);
    if (loss == NULL)
        abort();
    bool is_new = strcmp(secret, ref->secret) != 0; /* of a scenario that begins with nothing */
    struct reference same = *ref;
    if (is_new)
        snprintf(same.secret, sizeof same.secret, "%s", secret);
    if (a->why[0] == '\0')
        cut_power(&same, c, loss, power_loss_count(loss), a, disk);
    power_loss_close(loss);
}

static void begin_attempt(struct attempt *a, const struct one_case *c, const char *disk,
                          const char *data)
{
    *control = (struct faulty_control){0};
    *a = (struct attempt){.data = data,
                          .plan = {.root = disk,
                                   .journal = -1,
                                   .at = c->how == HOW_POWER ? 0 : c->number,
                                   .kind = c->kind,
                                   .lasting = c->lasting,
                                   .control = control}};
}

static void report(const struct reference *ref, const struct one_case *c, const struct attempt *a)
{
    char name[64];
    case_name(name, c);
    if (a->stuck)
        atomic_fetch_add(&totals->stuck, 1);
    atomic_fetch_add(&totals->wrong, 1);
    if (atomic_fetch_add(&totals->shown, 1) >= SHOWN_MAX && getenv("SHOW_ALL") == NULL)
        return;
    printf("# disk_sweep_test case %s '%s' %llu (SEED=%llu):\n", ref->scenario->name, name,
           (unsigned long long)c->number, (unsigned long long)seed);
    char text[sizeof a->why];
    snprintf(text, sizeof text, "%s", a->why);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        printf("#     %s\n", line);
    fflush(stdout);
}

static bool try_case(const struct reference *ref, const struct one_case *c, int worker)
{
    static struct attempt a;
    char disk[PATH_MAX / 4], data[PATH_MAX / 2], journal[PATH_MAX / 4];
    snprintf(disk, sizeof disk, "%s/disk.%d", where, worker);
    snprintf(data, sizeof data, "%s/data", disk);
    snprintf(journal, sizeof journal, "%s/journal.%d", where, worker);
    remove_folder(disk);
    begin_attempt(&a, c, disk, data);
    if (c->how != HOW_POWER)
        copy_folder(ref->base, disk);
    if (c->how == HOW_POWER)
        lose_power(ref, c, &a, disk);
    else if (c->how == HOW_SYNC_AND_POWER)
        lose_sync_and_power(ref, c, &a, disk, journal);
    else
        ref->scenario->run(&a);
    atomic_fetch_add(&totals->tried[c->how], 1);
    atomic_fetch_add(&totals->befell, atomic_load(&control->fired) > 0);
    if (a.done)
        compare(ref, &a, "it said it was done");
    if (a.why[0] == '\0')
        ref->scenario->finish(&a);
    compare(ref, &a, "at the end");
    check_letters(ref, &a);
    audit(&a);
    if (a.why[0] != '\0')
        report(ref, c, &a);
    return a.why[0] == '\0';
}

/* --- all cases of a scenario --- */

static void run_undisturbed(struct reference *ref)
{
    static struct attempt a;
    struct one_case nothing = {.how = HOW_FAULT};
    char data[PATH_MAX / 2];
    snprintf(ref->base, sizeof ref->base, "%s/base.%s", where, ref->scenario->name);
    snprintf(ref->disk, sizeof ref->disk, "%s/undisturbed", where);
    snprintf(ref->journal, sizeof ref->journal, "%s/journal", where);
    snprintf(data, sizeof data, "%s/data", ref->base);
    remove_folder(ref->base);
    if (mkdir(ref->base, 0750) < 0)
        abort();
    ref->scenario->prepare(data);
    remove_folder(ref->disk);
    copy_folder(ref->base, ref->disk);
    snprintf(data, sizeof data, "%s/data", ref->disk);
    begin_attempt(&a, &nothing, ref->disk, data);
    a.plan.journal = new_journal(ref->journal);
    ref->scenario->run(&a);
    close(a.plan.journal);
    ref->calls = atomic_load(&control->calls);
    ref->allocations = atomic_load(&control->allocations);
    describe(data, ref->state);
    read_secret_file(data, ref->secret);
    check_letters(ref, &a);
    audit(&a);
    ref->loss = power_loss_open(ref->disk, ref->base, ref->journal);
    if (a.why[0] != '\0' || ref->loss == NULL) {
        printf("Bail out! %s, undisturbed: %s\n", ref->scenario->name, a.why);
        exit(1);
    }
}

static void work(const struct reference *ref, int worker, size_t count, int64_t until)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    control = shared(sizeof *control);
    for (size_t i; now_ms() < until && (i = atomic_fetch_add(&totals->next, 1)) < count;)
        try_case(ref, &cases[i], worker);
    fflush(stdout);
    _exit(0);
}

/* --- scenarios --- */

static int tests, failures;

static void tell_totals(const struct reference *ref, bool memory, bool crashed, int64_t seconds)
{
    unsigned tried = 0;
    for (int how = 0; how < HOW_COUNT; how++)
        tried += totals->tried[how];
    bool good = totals->wrong == 0 && !crashed && tried > 0;
    failures += !good;
    printf("%sok %d - %s: ", good ? "" : "not ", ++tests, ref->scenario->name);
    if (memory)
        printf("%llu allocations; %u failed", (unsigned long long)ref->allocations,
               totals->tried[HOW_MEMORY]);
    else
        printf("%llu calls; %u faults, %u lasting, %u kills, %u power losses, %u failed syncs "
               "before one",
               (unsigned long long)ref->calls, totals->tried[HOW_FAULT], totals->tried[HOW_LASTING],
               totals->tried[HOW_KILL], totals->tried[HOW_POWER],
               totals->tried[HOW_SYNC_AND_POWER]);
    printf(" (%u of %zu cases, %lld s); %u lost, %u doubled, %u stuck, %u wrong\n", tried,
           case_count, (long long)seconds, totals->lost, totals->doubled, totals->stuck,
           totals->wrong);
    fflush(stdout);
}

static void sweep(const struct scenario *scenario, bool memory, size_t cases_max, int seconds)
{
    static struct reference ref;
    ref = (struct reference){.scenario = scenario};
    memset(totals, 0, sizeof *totals);
    control = shared(sizeof *control);
    run_undisturbed(&ref);
    memory ? cases_of_memory(ref.allocations, seed) : cases_of_disk(ref.loss, seed);
    size_t count = case_count < cases_max ? case_count : cases_max;
    int64_t start = now_ms();
    fflush(stdout);
    for (int worker = 0; worker < WORKERS; worker++) {
        pid_t pid = fork();
        if (pid < 0)
            abort();
        if (pid == 0)
            work(&ref, worker, count, start + seconds * 1000);
    }
    int status;
    bool crashed = false;
    while (wait(&status) > 0)
        crashed = crashed || status != 0;
    tell_totals(&ref, memory, crashed, (now_ms() - start) / 1000);
    power_loss_close(ref.loss);
}

static int try_one(const char *name, const char *what, const char *number)
{
    static struct reference ref;
    struct one_case c;
    for (size_t i = 0; i < scenario_count; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            ref.scenario = &scenarios[i];
    if (ref.scenario == NULL || !case_parse(&c, what, number)) {
        printf("Bail out! no such case\n");
        return 1;
    }
    control = shared(sizeof *control);
    run_undisturbed(&ref);
    bool good = try_case(&ref, &c, 0);
    printf("%sok 1 - %s %s %s\n1..1\n", good ? "" : "not ", name, what, number);
    return !good;
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    bool any = argc <= 2;
    for (int i = 2; i < argc; i++)
        any = any || strcmp(argv[i], name) == 0;
    return any;
}

int main(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR"), *seed_text = getenv("SEED");
    const char *seconds_text = getenv("SWEEP_SECONDS");
    char name[PATH_MAX / 8];
    snprintf(name, sizeof name, "%s/pathstats-sweep-XXXXXX", tmp != NULL ? tmp : "/tmp");
    char *made = mkdtemp(name) == NULL ? NULL : realpath(name, NULL);
    if (made == NULL || strlen(made) >= sizeof where) {
        printf("Bail out! no folder for the sweep in TMPDIR\n");
        return 1;
    }
    snprintf(where, sizeof where, "%s", made);
    free(made);
    seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : DEFAULT_SEED;
    printf("# SEED=%llu\n", (unsigned long long)seed);
    totals = shared(sizeof *totals);
    scenarios_init(where);
    if (argc == 5 && strcmp(argv[1], "case") == 0)
        return try_one(argv[2], argv[3], argv[4]);
    int seconds = seconds_text != NULL ? atoi(seconds_text) : DEFAULT_SECONDS;
    size_t most = argc > 1 ? SIZE_MAX : SAMPLE_CASES;
    for (size_t i = 0; i < scenario_count; i++) {
        if (!is_wanted(scenarios[i].name, argc, argv))
            continue;
        if (argc < 2 || strcmp(argv[1], "all") == 0)
            sweep(&scenarios[i], false, most, seconds);
        if (argc < 2 || strcmp(argv[1], "memory") == 0)
            sweep(&scenarios[i], true, most, seconds);
    }
    printf("1..%d\n", tests);
    if (failures == 0)
        remove_folder(where);
    return failures > 0;
}
