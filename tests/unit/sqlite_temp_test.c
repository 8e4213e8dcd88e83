/* sqlite_temp_test.c - where SQLite's temporary files are. A process of its own, because the first
 * database that is opened decides for all.
 *
 * SPDX-License-Identifier: MIT
 */
#include "contract/store_world.h"

#include <fcntl.h>

static const struct backend sqlite_backend = {&ps_store_sqlite, "pathstats.db", seal_in_sqlite,
                                              .has_times = true};

static char opened[PLACE_PATH_MAX]; /* the last temporary file */
static unsigned opened_count;

static int open_and_note(const char *path, int flags, mode_t mode)
{
    if (strstr(path, "etilqs") != NULL) {
        snprintf(opened, sizeof opened, "%s", path);
        opened_count++;
    }
    return open(path, flags, mode);
}

/* In /var/tmp they stopped the counting as soon as somebody had filled that ("unable to open
 * database file"), and failed this suite's tests now and then. */
static void temporary_files_are_beside_the_database(void **state)
{
    struct world *w = make_world(&sqlite_backend);
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        if (i == 1)
            assert_int_equal(vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)open_and_note),
                             SQLITE_OK);
        for (unsigned k = 0; k < EVENTS_MAX; k++)
            add_dated(w, NOON + k * 20000 + i, k);
        struct ps_applied applied;
        struct ps_batch b = take_batch(w);
        OK(apply_at(w, w->store, &b, &applied));
        clear_batch(w);
    }
    vfs->xSetSystemCall(vfs, "open", NULL);
    assert_true(opened_count > 0);
    assert_int_equal(strncmp(opened, w->place.folder, strlen(w->place.folder)), 0);
    drop_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(temporary_files_are_beside_the_database),
    };
    return cmocka_run_group_tests_name("sqlite temporary files", tests, NULL, NULL);
}
