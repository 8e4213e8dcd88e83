/* power_loss.c - see power_loss.h.
 *
 * A node is a file or a folder. Each has two states: now, what the process sees, and kept, what the
 * platter has; and the changes that lead from kept to now, in their order. A sync empties that
 * list.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support/power_loss.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096, HANDLES_MAX = 8192 };

struct node;

/* A name gets a node (NULL: it goes). A rename is two that come together. */
struct naming {
    char name[NAME_MAX + 1];
    struct node *node;
    bool with_next;
};

struct names {
    struct naming *items;
    size_t count, cap;
};

/* A write, or with bytes NULL a new size. */
struct change {
    int64_t at;
    const char *bytes;
    size_t len;
};

struct node {
    struct node *next; /* of all, to free them */
    bool folder;
    struct names now, kept, changed;
    char *bytes; /* kept */
    size_t size, size_now;
    struct change *changes;
    size_t changes_count, changes_cap;
};

struct power_loss {
    char *journal;
    size_t *records, count;
    char root[PATH_MAX], base[PATH_MAX];
};

/* One rebuilding. */
struct world {
    const struct power_loss *p;
    struct node *nodes, *root;
    struct node *by_handle[HANDLES_MAX];
    uint32_t handles[HANDLES_MAX];
    size_t handle_count;
    uint64_t seed;
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static struct node *new_node(struct world *w, bool folder)
{
    struct node *n = must(calloc(1, sizeof *n));
    n->folder = folder;
    n->next = w->nodes;
    w->nodes = n;
    return n;
}

/* --- names --- */

static struct naming *find_name(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].name, name) == 0)
            return &names->items[i];
    return NULL;
}

static struct naming *add_name(struct names *names, const char *name, struct node *node)
{
    if (names->count == names->cap) {
        names->cap = names->cap == 0 ? 8 : 2 * names->cap;
        names->items = must(realloc(names->items, names->cap * sizeof *names->items));
    }
    struct naming *item = &names->items[names->count++];
    *item = (struct naming){.node = node};
    snprintf(item->name, sizeof item->name, "%s", name);
    return item;
}

static void set_name(struct names *names, const char *name, struct node *node)
{
    struct naming *item = find_name(names, name);
    if (item == NULL && node != NULL)
        add_name(names, name, node);
    else if (item != NULL && node != NULL)
        item->node = node;
    else if (item != NULL)
        *item = names->items[--names->count];
}

static void change_name(struct node *folder, const char *name, struct node *node, bool with_next)
{
    set_name(&folder->now, name, node);
    add_name(&folder->changed, name, node)->with_next = with_next;
}

/* Takes over the first `count` changes; of a rename both halves. */
static void keep_names(struct node *folder, size_t count)
{
    for (size_t i = 0; i < folder->changed.count; i++)
        if (i < count || (i > 0 && i == count && folder->changed.items[i - 1].with_next))
            set_name(&folder->kept, folder->changed.items[i].name, folder->changed.items[i].node);
    folder->changed.count = 0;
}

/* The node at the end of a path below the root, NULL when there is none; *ret_name its last part
 * and *ret_folder where that is. */
static struct node *look_up(struct world *w, const char *path, struct node **ret_folder,
                            const char **ret_name)
{
    struct node *at = w->root, *folder = NULL;
    const char *name = "";
    path += strlen(w->p->root);
    while (*path == '/' && at != NULL) {
        char part[NAME_MAX + 1];
        name = path + 1;
        size_t len = strcspn(name, "/");
        snprintf(part, sizeof part, "%.*s", (int)len, name);
        folder = at;
        struct naming *item = find_name(&at->now, part);
        at = item != NULL ? item->node : NULL;
        path = name + len;
    }
    if (ret_folder != NULL)
        *ret_folder = *path == '\0' ? folder : NULL;
    if (ret_name != NULL)
        *ret_name = name;
    return *path == '\0' ? at : NULL;
}

/* --- bytes --- */

static void change_bytes(struct node *n, struct change change)
{
    if (n->changes_count == n->changes_cap) {
        n->changes_cap = n->changes_cap == 0 ? 8 : 2 * n->changes_cap;
        n->changes = must(realloc(n->changes, n->changes_cap * sizeof *n->changes));
    }
    n->changes[n->changes_count++] = change;
    if (change.bytes == NULL)
        n->size_now = (size_t)change.at;
    else if (n->size_now < (size_t)change.at + change.len)
        n->size_now = (size_t)change.at + change.len;
}

static void resize(struct node *n, size_t size)
{
    n->bytes = must(realloc(n->bytes, size + 1));
    if (size > n->size)
        memset(n->bytes + n->size, 0, size - n->size);
    n->size = size;
}

static void keep_bytes(struct node *n)
{
    for (size_t i = 0; i < n->changes_count; i++) {
        struct change *c = &n->changes[i];
        if (c->bytes == NULL || n->size < (size_t)c->at + c->len)
            resize(n, c->bytes == NULL ? (size_t)c->at : (size_t)c->at + c->len);
        if (c->bytes != NULL)
            memcpy(n->bytes + c->at, c->bytes, c->len);
    }
    n->changes_count = 0;
}

static uint64_t random_below(struct world *w, uint64_t n)
{
    w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return n == 0 ? 0 : (w->seed >> 33) % n;
}

/* Of one page, the first `count` changes of all. */
static void keep_page(struct node *n, size_t page, size_t count)
{
    size_t from = page * PAGE, to = from + PAGE < n->size ? from + PAGE : n->size;
    for (size_t i = 0; i < count; i++) {
        struct change *c = &n->changes[i];
        size_t at = (size_t)c->at, end = at + c->len;
        if (c->bytes == NULL && at < to) {
            size_t cut = at > from ? at : from;
            memset(n->bytes + cut, 0, to - cut);
        } else if (c->bytes != NULL && at < to && end > from) {
            size_t first = at > from ? at : from, last = end < to ? end : to;
            memcpy(n->bytes + first, c->bytes + (first - at), last - first);
        }
    }
}

static void keep_random(struct world *w, struct node *n)
{
    if (n->changes_count == 0)
        return;
    resize(n, random_below(w, 3) == 0 ? n->size : n->size_now);
    for (size_t page = 0; page * PAGE < n->size; page++)
        keep_page(n, page, random_below(w, n->changes_count + 1));
    n->changes_count = 0;
}

/* --- following the journal --- */

static struct node *by_handle(struct world *w, uint32_t handle)
{
    for (size_t i = w->handle_count; i-- > 0;)
        if (w->handles[i] == handle)
            return w->by_handle[i];
    return NULL;
}

static void follow_open(struct world *w, const struct faulty_record *r, const char *path)
{
    struct node *folder;
    const char *name;
    struct node *n = look_up(w, path, &folder, &name);
    if (n == NULL && folder != NULL && (r->at & O_CREAT) != 0) {
        n = new_node(w, false);
        change_name(folder, name, n, false);
    }
    if (n != NULL && (r->at & O_TRUNC) != 0)
        change_bytes(n, (struct change){.at = 0});
    for (size_t i = 0; i < w->handle_count; i++)
        if (w->handles[i] == r->handle) {
            w->by_handle[i] = n;
            return;
        }
    if (w->handle_count == HANDLES_MAX)
        abort();
    w->handles[w->handle_count] = r->handle;
    w->by_handle[w->handle_count++] = n;
}

static void follow_name(struct world *w, const struct faulty_record *r, const char *path)
{
    struct node *folder, *to_folder;
    const char *name, *to_name;
    struct node *n = look_up(w, path, &folder, &name);
    if (r->call == CALL_MKDIR && folder != NULL)
        change_name(folder, name, new_node(w, true), false);
    if ((r->call == CALL_UNLINK || r->call == CALL_RMDIR) && folder != NULL)
        change_name(folder, name, NULL, false);
    if (r->call != CALL_LINK && r->call != CALL_RENAME)
        return;
    look_up(w, path + strlen(path) + 1, &to_folder, &to_name);
    if (n == NULL || to_folder == NULL)
        abort();
    change_name(to_folder, to_name, n, r->call == CALL_RENAME && folder == to_folder);
    if (r->call == CALL_RENAME)
        change_name(folder, name, NULL, false);
}

static void follow(struct world *w, const struct faulty_record *r)
{
    char path[2 * PATH_MAX];
    const char *after = (const char *)(r + 1);
    memcpy(path, after, r->path_len);
    path[r->path_len] = '\0';
    struct node *n = by_handle(w, r->handle);
    switch (r->call) {
    case CALL_OPEN: follow_open(w, r, path); break;
    case CALL_WRITE: change_bytes(n, (struct change){r->at, after + r->path_len, r->len}); break;
    case CALL_TRUNCATE: change_bytes(n, (struct change){.at = r->at}); break;
    case CALL_SYNC: keep_bytes(n); break;
    case CALL_SYNC_FAILED: n->changes_count = 0; break;
    case CALL_SYNC_FOLDER:
        n = look_up(w, path, NULL, NULL);
        if (n != NULL)
            keep_names(n, SIZE_MAX);
        break;
    default: follow_name(w, r, path); break;
    }
}

/* --- the base, and the outcome --- */

static char *read_file(const char *path, size_t *ret_len)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    char *bytes = must(malloc((size_t)st.st_size + 1));
    *ret_len = 0;
    for (ssize_t n; *ret_len < (size_t)st.st_size; *ret_len += (size_t)n)
        if ((n = read(fd, bytes + *ret_len, (size_t)st.st_size - *ret_len)) <= 0)
            break;
    close(fd);
    return bytes;
}

static void load_folder(struct world *w, struct node *folder, const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
        char whole[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (snprintf(whole, sizeof whole, "%s/%s", path, entry->d_name) >= PATH_MAX)
            abort();
        struct node *n = new_node(w, entry->d_type == DT_DIR);
        add_name(&folder->now, entry->d_name, n);
        add_name(&folder->kept, entry->d_name, n);
        if (n->folder) {
            load_folder(w, n, whole);
        } else {
            n->bytes = must(read_file(whole, &n->size));
            n->size_now = n->size;
        }
    }
    if (d != NULL)
        closedir(d);
}

static void choose(struct world *w, enum power_loss_mode mode)
{
    for (struct node *n = w->nodes; n != NULL; n = n->next) {
        if (mode == POWER_LOSS_STRICT)
            continue;
        keep_names(n, mode == POWER_LOSS_NAMES ? SIZE_MAX : random_below(w, n->changed.count + 1));
        if (mode == POWER_LOSS_RANDOM)
            keep_random(w, n);
        else if (!n->folder)
            resize(n, n->size_now);
    }
}

static bool write_file(const struct node *n, const char *path)
{
    bool secret = strstr(path, "/secret") != NULL; /* others may not read it */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, secret ? 0600 : 0640);
    if (fd < 0)
        return errno == EEXIST;
    bool ok = n->size == 0 || write(fd, n->bytes, n->size) == (ssize_t)n->size;
    return close(fd) == 0 && ok;
}

static bool write_folder(const struct node *folder, const char *path)
{
    bool ok = mkdir(path, 0750) == 0;
    for (size_t i = 0; ok && i < folder->kept.count; i++) {
        char whole[PATH_MAX];
        const struct naming *item = &folder->kept.items[i];
        if (snprintf(whole, sizeof whole, "%s/%s", path, item->name) >= PATH_MAX)
            return false;
        ok = item->node->folder ? write_folder(item->node, whole) : write_file(item->node, whole);
    }
    return ok;
}

static void free_world(struct world *w)
{
    for (struct node *n = w->nodes, *next; n != NULL; n = next) {
        next = n->next;
        free(n->now.items);
        free(n->kept.items);
        free(n->changed.items);
        free(n->bytes);
        free(n->changes);
        free(n);
    }
    free(w);
}

bool power_loss_rebuild(const struct power_loss *p, size_t n, enum power_loss_mode mode,
                        uint64_t seed, const char *to)
{
    struct world *w = must(calloc(1, sizeof *w));
    w->p = p;
    w->seed = seed;
    w->root = new_node(w, true);
    load_folder(w, w->root, p->base);
    for (size_t i = 0; i < n && i < p->count; i++) {
        const struct faulty_record *r = power_loss_record(p, i);
        if (r->call == CALL_OPEN || (r->call >= CALL_WRITE && r->call <= CALL_RMDIR))
            follow(w, r);
    }
    choose(w, mode);
    bool ok = write_folder(w->root, to);
    free_world(w);
    return ok;
}

/* --- the journal --- */

struct power_loss *power_loss_open(const char *root, const char *base, const char *journal)
{
    size_t len = 0, cap = 0;
    struct power_loss *p = must(calloc(1, sizeof *p));
    snprintf(p->root, sizeof p->root, "%s", root);
    snprintf(p->base, sizeof p->base, "%s", base);
    p->journal = read_file(journal, &len);
    for (size_t at = 0; p->journal != NULL && at + sizeof(struct faulty_record) <= len;) {
        struct faulty_record r;
        memcpy(&r, p->journal + at, sizeof r);
        size_t end = at + faulty_record_size(&r);
        if (end > len) /* its writer was killed */
            break;
        if (p->count == cap) {
            cap = cap == 0 ? 1024 : 2 * cap;
            p->records = must(realloc(p->records, cap * sizeof *p->records));
        }
        p->records[p->count++] = at;
        at = end;
    }
    if (p->journal != NULL)
        return p;
    power_loss_close(p);
    return NULL;
}

void power_loss_close(struct power_loss *p)
{
    if (p == NULL)
        return;
    free(p->journal);
    free(p->records);
    free(p);
}

size_t power_loss_count(const struct power_loss *p)
{
    return p->count;
}

const struct faulty_record *power_loss_record(const struct power_loss *p, size_t i)
{
    return (const struct faulty_record *)(const void *)(p->journal + p->records[i]);
}

const char *power_loss_path(const struct power_loss *p, size_t i)
{
    static char path[2 * PATH_MAX];
    const struct faulty_record *r = power_loss_record(p, i);
    memcpy(path, r + 1, r->path_len);
    path[r->path_len] = '\0';
    return path;
}
