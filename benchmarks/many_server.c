/* The other end of many.py: many connections in one epoll loop (Linux).
 *
 * usage: many_server FIFO
 *
 * It listens on a free port of 127.0.0.1, prints it, and ends when its standard input does;
 * all its connections are then reset, so that no port waits.  It answers pings and close
 * frames, and takes these commands, of one byte each, from the FIFO:
 *
 *   s   send a text of 32 bytes to each of the next thousand connections, one every 0.4 ms:
 *       that is enough for the client to go to sleep in between
 *   h   send one to each of the next hundred, at once
 *   i   wait 2 s, then send one
 *   j   wait 10 s, then send one
 *   r   reset every second connection
 *   f   for 5 s, send as much as it takes to the newest connection, in messages of 64 KiB,
 *       and every 20 ms the time (CLOCK_MONOTONIC) to each of the ten before it; then send
 *       "end" to these
 */

#define _GNU_SOURCE
#define main threaded_main
#include "server.c"
#undef main

#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#define MOST 32768
#define FLOOD_SECONDS 5.0
#define FLOOD_PERIOD 0.02
#define QUIET 10
#define SINGLES 1000
#define SINGLES_PERIOD 0.0004

struct peer {
    int fd, is_open;
    size_t have;
    unsigned char data[1024];
};

static struct peer *peers[MOST];        /* by descriptor */
static int opened[MOST], opened_count, next_one;
static int epoll_fd;
static double flood_until, next_quiet, send_at, next_single;
static int singles;
static int flood_fd = -1;
static unsigned char flood_frame[10 + 65536];
static size_t flood_at;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void drop(int fd)
{
    int i;

    if (!peers[fd])
        return;
    if (peers[fd]->is_open)
        for (i = 0; i < opened_count; i++)
            if (opened[i] == fd) {
                memmove(opened + i, opened + i + 1, (size_t)(--opened_count - i) * sizeof *opened);
                break;
            }
    if (fd == flood_fd)
        flood_fd = -1;
    free(peers[fd]);
    peers[fd] = NULL;
    close(fd);                          /* SO_LINGER: a reset */
}

static void put(int fd, unsigned char first, const void *payload, size_t length)
{
    unsigned char frame[256];
    size_t header = put_header(frame, first, length);

    memcpy(frame + header, payload, length);
    if (send(fd, frame, header + length, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
        drop(fd);
}

static void send_next(int count)
{
    char text[64];
    static long number;

    while (count-- && opened_count) {
        snprintf(text, sizeof text, "%08ld the quick brown fox jumps", number++);
        /* A stride, so that neighbors in memory do not follow each other. */
        next_one = (next_one + 61) % opened_count;
        put(opened[next_one], 0x81, text, 32);
    }
}

static void answer_head(int fd, struct peer *p)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char keyed[128] = "", accept[64], answer[512], *line;
    unsigned char digest[20];

    for (line = strstr((char *)p->data, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, "sec-websocket-key:", 18))
            sscanf(line + 20, " %60[^ \r\n]", keyed);
    strcat(keyed, guid);
    sha1((unsigned char *)keyed, strlen(keyed), digest);
    base64(digest, 20, accept);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) {
        drop(fd);
        return;
    }
    p->is_open = 1;
    p->have = 0;
    opened[opened_count++] = fd;
}

static void read_frames(int fd, struct peer *p)
{
    size_t at = 0;

    while (p->have - at >= 6) {
        unsigned char *f = p->data + at, payload[125];
        size_t length = f[1] & 127, i;
        if (length > 125) {             /* clients send only what is small */
            drop(fd);
            return;
        }
        if (p->have - at < 6 + length)
            break;
        for (i = 0; i < length; i++)
            payload[i] = f[6 + i] ^ f[2 + i % 4];
        if ((f[0] & 15) == 8) {
            put(fd, 0x88, payload, length);
            drop(fd);
            return;
        }
        if ((f[0] & 15) == 9)
            put(fd, 0x8A, payload, length);
        if (!peers[fd])
            return;
        at += 6 + length;
    }
    memmove(p->data, p->data + at, p->have - at);
    p->have -= at;
}

static void read_peer(int fd)
{
    struct peer *p = peers[fd];
    ssize_t count = recv(fd, p->data + p->have, sizeof p->data - 1 - p->have, 0);

    if (count <= 0) {
        if (count == 0 || (errno != EAGAIN && errno != EINTR))
            drop(fd);
        return;
    }
    p->have += (size_t)count;
    p->data[p->have] = 0;
    if (p->is_open)
        read_frames(fd, p);
    else if (strstr((char *)p->data, "\r\n\r\n"))
        answer_head(fd, p);
}

static void watch(int fd, uint32_t events, int operation)
{
    struct epoll_event event = {0};

    event.events = events;
    event.data.fd = fd;
    epoll_ctl(epoll_fd, operation, fd, &event);
}

static void write_flood(void)
{
    int turn;

    for (turn = 0; turn < 16 && flood_fd >= 0; turn++) {
        ssize_t count = send(flood_fd, flood_frame + flood_at, sizeof flood_frame - flood_at,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0)
            return;
        flood_at = (flood_at + (size_t)count) % sizeof flood_frame;
    }
}

static void command(char what)
{
    int i;

    switch (what) {
    case 's':
        singles = SINGLES;
        next_single = now();
        break;
    case 'h':
        send_next(100);
        break;
    case 'i':
        send_at = now() + 2;
        break;
    case 'j':
        send_at = now() + 10;
        break;
    case 'r':
        for (i = opened_count - 1; i >= 0; i -= 2)
            drop(opened[i]);
        break;
    case 'f':
        put_header(flood_frame, 0x82, 65536);
        flood_until = now() + FLOOD_SECONDS;
        next_quiet = now();
        flood_fd = opened[opened_count - 1];
        watch(flood_fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        break;
    }
}

static void keep_time(void)
{
    double time = now();
    char text[64];
    int i;

    if (singles && time >= next_single) {
        next_single = time + SINGLES_PERIOD;
        singles--;
        send_next(1);
    }
    if (send_at && time >= send_at) {
        send_at = 0;
        send_next(1);
    }
    if (!flood_until)
        return;
    if (time >= flood_until) {
        flood_until = 0;
        if (flood_fd >= 0)
            watch(flood_fd, EPOLLIN, EPOLL_CTL_MOD);
        strcpy(text, "end");
    } else if (time >= next_quiet) {
        next_quiet += FLOOD_PERIOD;
        snprintf(text, sizeof text, "%.6f", time);
    } else
        return;
    for (i = 0; i < QUIET; i++)
        put(opened[opened_count - 2 - i], 0x81, text, strlen(text));
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    struct epoll_event events[256];
    struct rlimit limit;
    struct linger reset = {1, 0};
    char commands[256];
    int listener, fifo, fd, count, i, on = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: many_server FIFO\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    fifo = open(argv[1], O_RDWR | O_NONBLOCK);
    epoll_fd = epoll_create1(0);
    if (listener < 0 || fifo < 0 || epoll_fd < 0
            || bind(listener, (struct sockaddr *)&address, sizeof address) < 0
            || listen(listener, 4096) < 0
            || getsockname(listener, (struct sockaddr *)&address, &length) < 0) {
        perror("many_server");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    watch(fifo, EPOLLIN, EPOLL_CTL_ADD);
    watch(0, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        count = epoll_wait(epoll_fd, events, 256, singles ? 0 : flood_until ? 2 : send_at ? 20 : -1);
        for (i = 0; i < count; i++) {
            fd = events[i].data.fd;
            if (fd == 0) {
                if (read(0, commands, sizeof commands) <= 0)
                    return 0;
            } else if (fd == fifo) {
                ssize_t at, size = read(fifo, commands, sizeof commands);
                for (at = 0; at < size; at++)
                    command(commands[at]);
            } else if (fd == listener) {
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    if (fd >= MOST || !(peers[fd] = calloc(1, sizeof **peers))) {
                        close(fd);
                        continue;
                    }
                    peers[fd]->fd = fd;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
                    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
                }
            } else if (peers[fd]) {
                if (events[i].events & EPOLLOUT)
                    write_flood();
                if (events[i].events & ~EPOLLOUT)
                    read_peer(fd);
            }
        }
        keep_time();
    }
}
