/* file_queue.h - the file queue from the inside: shared by its files.  SPDX-License-Identifier: MIT
 */
#ifndef PS_BACKEND_FILE_FILE_QUEUE_H
#define PS_BACKEND_FILE_FILE_QUEUE_H

#include "backend/file/dead.h"
#include "backend/file/segment.h"

#include <pthread.h>

enum { SEGMENT_NAME_MAX = 32 };

struct segment {
    uint64_t base, end; /* end of the last one: see durable */
    uint32_t serial;    /* of its file: a new one may take its place as long as it is empty */
};

struct file_queue {
    struct ps_queue base;
    struct ps_queue_limits limits;
    int dir;
    bool writable;

    int tail_fd;          /* the last segment */
    uint64_t tail_base;   /* of the last segment */
    uint64_t written;     /* position up to which frames are in the file */
    struct ps_buf append; /* frames not yet in the file */
    bool must_roll;       /* the tail is not to be written to any more */
    uint32_t serials;
    uint64_t cut_bytes; /* of the torn tail that was found */
    bool cut_in_doubt;  /* it may be damage instead */

    int read_fd; /* of the segment being read */
    struct segment reading;

    pthread_mutex_t lock;
    struct segment *segments; /* by base, the last one is being appended to */
    size_t count, cap;
    uint64_t durable;
    bool damaged; /* a reader found what cannot be read: nothing is taken behind it */
    struct ps_queue_info letters; /* numbers of `dead`, so that who asks waits for no disk */

    pthread_mutex_t dead_lock; /* alone: who buries waits for the disk, who reads does not */
    struct ps_dead dead;
};

static inline struct file_queue *ps_file_of(struct ps_queue *q)
{
    return (struct file_queue *)q;
}

void ps_file_name_segment(char to[SEGMENT_NAME_MAX], uint64_t base);
/* What errno says: PS_EFULL when the disk is, else PS_EIO. */
int ps_file_fail(struct ps_err *e, const char *what);
/* Room for one more; then adding cannot fail. */
int ps_file_reserve_segment(struct file_queue *q, struct ps_err *e);
void ps_file_add_segment(struct file_queue *q, uint64_t base, uint64_t end);
/* Makes the file of a new last segment, durably; it becomes the tail. After a failure it may be
 * there nevertheless, so the tail of before must not grow: `must_roll` is set. */
int ps_file_make_segment(struct file_queue *q, uint64_t base, struct ps_err *e);
/* read.c: the queue's `read`. */
int ps_file_read(struct ps_queue *queue, uint64_t from, size_t records_max, struct ps_records *ret,
                 struct ps_err *e);
/* open.c: finds the segments, checks them, cuts a torn tail off when writable. */
int ps_file_load(struct file_queue *q, struct ps_err *e);
/* The first segment of a queue without one. Behind the dead letters that may be left of another:
 * a position names one letter. */
int ps_file_begin(struct file_queue *q, struct ps_err *e);

#endif
