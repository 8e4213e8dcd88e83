/* bad_s3.c - an S3 service on a bad day, for s3_down_test.sh, which compiles it.
 *
 *     bad_s3 error|garbage|stall|cut
 *
 * It listens on a free port of 127.0.0.1, prints the port, and answers every request alike until it
 * is killed: with status 500, with bytes that are not HTTP, with nothing, or with the beginning of
 * an answer. One connection after the other; a stalled one lasts until the client goes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, WAITING_MAX = 16 };

static const char error_answer[] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 75\r\n"
                                   "Connection: close\r\n\r\n"
                                   "<Error><Code>InternalError</Code><Message>We are on fire"
                                   "</Message></Error>  ";
static const char garbage_answer[] = "\x15\x03\x01%s%n\xff\xfe 200 OK <xml></lmx>\r\n\r\n\r\n";
static const char cut_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n<ListBucketRes";

static const char *answer_for(const char *how)
{
    if (strcmp(how, "error") == 0)
        return error_answer;
    if (strcmp(how, "garbage") == 0)
        return garbage_answer;
    if (strcmp(how, "cut") == 0)
        return cut_answer;
    return strcmp(how, "stall") == 0 ? "" : NULL;
}

/* What the client still sends is read to the end: closing before that would reset the connection,
 * and the client might never see the answer. */
static void serve_one(int fd, const char *answer)
{
    static char piece[PIECE_BYTES];
    if (read(fd, piece, sizeof piece) > 0 && answer[0] != '\0') {
        if (write(fd, answer, strlen(answer)) < 0)
            return;
        shutdown(fd, SHUT_WR);
    }
    while (read(fd, piece, sizeof piece) > 0)
        continue;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const char *answer = argc == 2 ? answer_for(argv[1]) : NULL;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (answer == NULL || listener < 0 || bind(listener, (struct sockaddr *)&at, len) < 0 ||
        listen(listener, WAITING_MAX) < 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) < 0) {
        fprintf(stderr, "usage: bad_s3 error|garbage|stall|cut\n");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    printf("%u\n", (unsigned)ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve_one(fd, answer);
        close(fd);
    }
}
