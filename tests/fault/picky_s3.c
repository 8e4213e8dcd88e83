/* picky_s3.c - an S3 service as some are, for s3_picky_test.sh, which compiles it.
 *
 *     picky_s3 403|501|301
 *
 * It listens on a free port of 127.0.0.1, prints the port, and keeps the object that was put last,
 * in one piece or in parts, until it is killed. It answers the question for unfinished uploads with
 * that status; with 301 it answers everything so, and says where the bucket is. What it gives out
 * has no length: it is chunked. Signatures are not looked at. One connection after the other, one
 * request each.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 16 * 1024, OBJECT_MAX = 64 * 1024 * 1024, WAITING_MAX = 16 };

static char object[OBJECT_MAX], upload[OBJECT_MAX];
static size_t object_len, upload_len;

struct request {
    char head[HEAD_MAX + 1];
    size_t body_len, have; /* have: body bytes that came with the head */
    char *body;            /* what came with the head */
};

static int send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n <= 0)
            return -1;
        text += n;
        len -= (size_t)n;
    }
    return 0;
}

static void reply(int fd, const char *status, const char *headers, const char *body)
{
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", status,
                     headers, strlen(body), body);
    send_all(fd, text, (size_t)n);
}

static int read_head(int fd, struct request *r)
{
    size_t len = 0;
    char *end = NULL, *length;
    while (end == NULL) {
        ssize_t n = len < HEAD_MAX ? read(fd, r->head + len, HEAD_MAX - len) : 0;
        if (n <= 0)
            return -1;
        len += (size_t)n;
        r->head[len] = '\0';
        end = strstr(r->head, "\r\n\r\n");
    }
    r->body = end + 4;
    r->have = len - (size_t)(r->body - r->head);
    length = strcasestr(r->head, "\r\ncontent-length:");
    r->body_len = length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0;
    if (strcasestr(r->head, "\r\nexpect: 100-continue") != NULL)
        return send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    return 0;
}

/* The body, to the end of what `to` holds. */
static int read_body(int fd, const struct request *r, char *to, size_t *len)
{
    size_t at = *len, left = r->body_len - r->have;
    if (at + r->body_len > OBJECT_MAX)
        return -1;
    memcpy(to + at, r->body, r->have);
    for (at += r->have; left > 0;) {
        ssize_t n = read(fd, to + at, left);
        if (n <= 0)
            return -1;
        at += (size_t)n;
        left -= (size_t)n;
    }
    *len = at;
    return 0;
}

static void give_object(int fd)
{
    char size[32];
    int n = snprintf(size, sizeof size, "%zx\r\n", object_len);
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    if (object_len == 0) {
        reply(fd, "404 Not Found", "", "<Error><Code>NoSuchKey</Code></Error>");
        return;
    }
    send_all(fd, head, sizeof head - 1);
    send_all(fd, size, (size_t)n);
    send_all(fd, object, object_len);
    send_all(fd, "\r\n0\r\n\r\n", 7);
}

static void put(int fd, const struct request *r, int is_part)
{
    if (!is_part)
        object_len = 0;
    if (read_body(fd, r, is_part ? upload : object, is_part ? &upload_len : &object_len) == 0)
        reply(fd, "200 OK", "ETag: \"part\"\r\n", "");
}

static void finish_upload(int fd, const struct request *r)
{
    static char list[HEAD_MAX];
    size_t len = 0;
    if (r->body_len > sizeof list || read_body(fd, r, list, &len) < 0)
        return;
    memcpy(object, upload, upload_len);
    object_len = upload_len;
    reply(fd, "200 OK", "", "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>");
}

static void serve_one(int fd, const char *how)
{
    static struct request r;
    if (read_head(fd, &r) < 0)
        return;
    char *query = strpbrk(r.head, "?\r");
    int has_query = *query == '?', is_upload = has_query && strstr(query, "uploadId=") != NULL;
    if (strcmp(how, "301") == 0)
        reply(fd, "301 Moved Permanently", "x-amz-bucket-region: eu-west-1\r\n", "");
    else if (strncmp(r.head, "PUT ", 4) == 0)
        put(fd, &r, is_upload);
    else if (strncmp(r.head, "POST ", 5) == 0 && is_upload)
        finish_upload(fd, &r);
    else if (strncmp(r.head, "POST ", 5) == 0) {
        upload_len = 0;
        reply(fd, "200 OK", "",
              "<InitiateMultipartUploadResult><UploadId>1</UploadId>"
              "</InitiateMultipartUploadResult>");
    } else if (strncmp(r.head, "GET ", 4) == 0 && !has_query)
        give_object(fd);
    else if (strcmp(how, "403") == 0)
        reply(fd, "403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>");
    else
        reply(fd, "501 Not Implemented", "", "<Error><Code>NotImplemented</Code></Error>");
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    char rest[4096];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 2 || listener < 0 || bind(listener, (struct sockaddr *)&at, len) < 0 ||
        listen(listener, WAITING_MAX) < 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) < 0) {
        fprintf(stderr, "usage: picky_s3 403|501|301\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    printf("%u\n", (unsigned)ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve_one(fd, argv[1]);
        shutdown(fd, SHUT_WR);
        while (read(fd, rest, sizeof rest) > 0)
            continue;
        close(fd);
    }
}
