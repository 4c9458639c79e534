/* The other end of the benchmarks: a WebSocket server that does next to nothing.
 *
 * usage: server FOLDER
 *
 * It listens on a free port of 127.0.0.1, prints it, and ends when its standard input does.
 * The path of the URL says what a connection is for:
 *
 *   /stream/NAME/WARM/COUNT   sends WARM messages at once, then COUNT more for the first
 *                             message that it gets; the frames are in the file FOLDER/NAME
 *   /echo                     sends back every frame, unmasked
 *   /sink/WARM/COUNT          takes messages; after WARM, and after COUNT more, it sends
 *                             "messages bytes differing compressed prefix" as one text
 *   /idle                     answers pings and the close frame
 *   /parts/NAME/FIRST/FRAGMENT/WARM/COUNT
 *                             for the first message that it gets, sends one message of WARM
 *                             bytes of payload, for the second one of COUNT; its first byte
 *                             is FIRST (without FIN), its frames have FRAGMENT bytes (0: all
 *                             in one), and the payload is that of FOLDER/NAME, repeated
 *
 * "?deflate" behind the path: permessage-deflate (RFC 7692) is agreed to, without parameters;
 * the server itself knows nothing of it: a stream is compressed already, an echo goes back as
 * it came.
 *
 * server.py is the same in Python, for machines without a compiler and for TLS.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_BUFFER (256 * 1024)
#define LARGEST_WRITE (1024 * 1024)
/* Bytes of compressed payload that a sink shows in its report, in hexadecimal. */
#define PREFIX 4096

static const char *folder;

/* --- SHA-1 (RFC 3174) and base64, for Sec-WebSocket-Accept --- */

static uint32_t rotate(uint32_t value, int bits)
{
    return value << bits | value >> (32 - bits);
}

static void sha1(const unsigned char *data, size_t length, unsigned char digest[20])
{
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char padded[256] = {0};    /* key and GUID are 60 bytes */
    size_t size = (length + 8) / 64 * 64 + 64, at;
    int i;

    if (size > sizeof padded)
        return;
    memcpy(padded, data, length);
    padded[length] = 0x80;
    for (i = 0; i < 8; i++)
        padded[size - 1 - i] = (unsigned char)((uint64_t)length * 8 >> 8 * i);
    for (at = 0; at < size; at += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], next;
        for (i = 0; i < 16; i++)
            w[i] = (uint32_t)padded[at + 4 * i] << 24 | (uint32_t)padded[at + 4 * i + 1] << 16
                 | (uint32_t)padded[at + 4 * i + 2] << 8 | padded[at + 4 * i + 3];
        for (; i < 80; i++)
            w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (i = 0; i < 80; i++) {
            uint32_t f, k;
            if (i < 20) { f = (b & c) | (~b & d); k = 0x5A827999; }
            else if (i < 40) { f = b ^ c ^ d; k = 0x6ED9EBA1; }
            else if (i < 60) { f = (b & c) | (b & d) | (c & d); k = 0x8F1BBCDC; }
            else { f = b ^ c ^ d; k = 0xCA62C1D6; }
            next = rotate(a, 5) + f + e + k + w[i];
            e = d; d = c; c = rotate(b, 30); b = a; a = next;
        }
        h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e;
    }
    for (i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char *data, size_t length, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at;

    for (at = 0; at < length; at += 3) {
        uint32_t bits = (uint32_t)data[at] << 16;
        if (at + 1 < length) bits |= (uint32_t)data[at + 1] << 8;
        if (at + 2 < length) bits |= data[at + 2];
        *text++ = digits[bits >> 18 & 63];
        *text++ = digits[bits >> 12 & 63];
        *text++ = at + 1 < length ? digits[bits >> 6 & 63] : '=';
        *text++ = at + 2 < length ? digits[bits & 63] : '=';
    }
    *text = 0;
}

/* --- reading and writing --- */

struct connection {
    int fd;
    unsigned char *buffer;
    size_t size, start, end;
};

struct frame {
    unsigned char first;                /* fin, rsv, opcode */
    unsigned char *payload;             /* unmasked, in the buffer; valid until the next frame */
    size_t length;
};

static int write_all(int fd, const unsigned char *data, size_t length)
{
    while (length) {
        size_t piece = length < LARGEST_WRITE ? length : LARGEST_WRITE;
        ssize_t count = send(fd, data, piece, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno == EINTR)
                continue;
            return -1;
        }
        data += count;
        length -= (size_t)count;
    }
    return 0;
}

/* Make room for `size` bytes from `start` on, and read once; 0 or -1 at the end. */
static int fill(struct connection *c, size_t size)
{
    ssize_t count;

    if (c->start == c->end)
        c->start = c->end = 0;
    if (size > c->size - c->start) {
        memmove(c->buffer, c->buffer + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
        if (size > c->size) {
            unsigned char *larger = realloc(c->buffer, size);
            if (!larger)
                return -1;
            c->buffer = larger;
            c->size = size;
        }
    }
    if (c->end == c->size) {
        memmove(c->buffer, c->buffer + c->start, c->end - c->start);
        c->end -= c->start;
        c->start = 0;
    }
    do
        count = recv(c->fd, c->buffer + c->end, c->size - c->end, 0);
    while (count < 0 && errno == EINTR);
    if (count <= 0)
        return (int)count;
    c->end += (size_t)count;
    return 1;
}

static void unmask(unsigned char *payload, size_t length, const unsigned char key[4])
{
    uint64_t wide, word;
    size_t at = 0;

    memcpy(&wide, key, 4);
    memcpy((unsigned char *)&wide + 4, key, 4);
    for (; at + 8 <= length; at += 8) {
        memcpy(&word, payload + at, 8);
        word ^= wide;
        memcpy(payload + at, &word, 8);
    }
    for (; at < length; at++)
        payload[at] ^= key[at & 3];
}

/* The next frame of a client: 1, or 0 at the end. */
static int next_frame(struct connection *c, struct frame *f)
{
    size_t header = 2, have;
    unsigned char *p;
    int i;

    for (;;) {
        have = c->end - c->start;
        p = c->buffer + c->start;
        if (have >= 2) {
            size_t length = p[1] & 127;
            int masked = p[1] & 128;
            header = 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (masked ? 4 : 0);
            if (have >= header) {
                if (length == 126)
                    length = (size_t)p[2] << 8 | p[3];
                else if (length == 127)
                    for (length = 0, i = 2; i < 10; i++)
                        length = length << 8 | p[i];
                if (length > (size_t)1 << 30)
                    return 0;
                if (have >= header + length) {
                    f->first = p[0];
                    f->payload = p + header;
                    f->length = length;
                    if (masked)
                        unmask(f->payload, length, p + header - 4);
                    c->start += header + length;
                    return 1;
                }
                header += length;
            }
        }
        if (fill(c, header) <= 0)
            return 0;
    }
}

/* Send a frame; its header is put in front of the payload, where the client's longer one was. */
static int send_frame(int fd, unsigned char first, unsigned char *payload, size_t length)
{
    unsigned char *p;
    int i;

    if (length < 126) {
        p = payload - 2;
        p[1] = (unsigned char)length;
    } else if (length < 65536) {
        p = payload - 4;
        p[1] = 126;
        p[2] = (unsigned char)(length >> 8);
        p[3] = (unsigned char)length;
    } else {
        p = payload - 10;
        p[1] = 127;
        for (i = 0; i < 8; i++)
            p[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
    }
    p[0] = first;
    return write_all(fd, p, (size_t)(payload - p) + length);
}

/* The next frame that is no control frame; pings and the close frame are answered: 1, or 0. */
static int next_data(struct connection *c, struct frame *f)
{
    while (next_frame(c, f)) {
        int opcode = f->first & 15;
        if (opcode < 8)
            return 1;
        if (opcode == 9 && send_frame(c->fd, 0x8A, f->payload, f->length) < 0)
            return 0;
        if (opcode == 8) {
            send_frame(c->fd, 0x88, f->payload, f->length);
            return 0;
        }
    }
    return 0;
}

/* --- what connections are for --- */

/* The offset behind `count` messages from the beginning of some frames. */
static size_t skip(const unsigned char *frames, size_t size, long count)
{
    size_t at = 0;

    while (count > 0 && at + 2 <= size) {
        size_t length = frames[at + 1], header = 2;
        int i;
        if (length == 126) {
            length = (size_t)frames[at + 2] << 8 | frames[at + 3];
            header = 4;
        } else if (length == 127) {
            for (length = 0, i = 2; i < 10; i++)
                length = length << 8 | frames[at + i];
            header = 10;
        }
        if (frames[at] & 128)
            count--;
        at += header + length;
    }
    return at;
}

static long count_messages(const unsigned char *frames, size_t size)
{
    long count = 0;
    size_t at = 0;

    while (at < size) {
        at += skip(frames + at, size - at, 1);
        count++;
    }
    return count;
}

static void stream(struct connection *c, const char *name, long warm, long count)
{
    char path[1024];
    struct stat status;
    struct frame f;
    unsigned char *frames;
    size_t size, at = 0, end;
    long in_file, done = 0, left = warm, now;
    int file, turn;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = open(path, O_RDONLY);
    if (file < 0)
        return;
    if (fstat(file, &status) < 0 || status.st_size == 0) {
        close(file);
        return;
    }
    size = (size_t)status.st_size;
    frames = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    close(file);
    if (frames == MAP_FAILED)
        return;
    in_file = count_messages(frames, size);
    for (turn = 0; turn < 2; turn++) {
        while (left > 0) {              /* from message `done` of the file on, at offset `at` */
            now = left < in_file - done ? left : in_file - done;
            end = now == in_file - done ? size : at + skip(frames + at, size - at, now);
            if (write_all(c->fd, frames + at, end - at) < 0)
                goto out;
            left -= now;
            done = (done + now) % in_file;
            at = done ? end : 0;
        }
        if (turn == 0) {
            if (!next_data(c, &f))
                goto out;
            left = count;
        }
    }
    while (next_data(c, &f))
        ;
out:
    munmap(frames, size);
}

static size_t put_header(unsigned char *p, unsigned char first, size_t length)
{
    int i;

    p[0] = first;
    if (length < 126) {
        p[1] = (unsigned char)length;
        return 2;
    }
    if (length < 65536) {
        p[1] = 126;
        p[2] = (unsigned char)(length >> 8);
        p[3] = (unsigned char)length;
        return 4;
    }
    p[1] = 127;
    for (i = 0; i < 8; i++)
        p[2 + i] = (unsigned char)((uint64_t)length >> (56 - 8 * i));
    return 10;
}

static void parts(struct connection *c, const char *name, int first, long fragment, long warm, long count)
{
    char path[1024];
    struct stat status;
    struct frame f;
    unsigned char *payload, header[10];
    size_t size, total, done, length, now;
    int file, turn;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = open(path, O_RDONLY);
    if (file < 0)
        return;
    if (fstat(file, &status) < 0 || status.st_size == 0) {
        close(file);
        return;
    }
    size = (size_t)status.st_size;
    payload = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    close(file);
    if (payload == MAP_FAILED)
        return;
    for (turn = 0; turn < 2; turn++) {
        total = (size_t)(turn ? count : warm);
        if (!next_data(c, &f))
            break;
        for (done = 0; done < total;) {
            length = total - done;
            if (fragment && length > (size_t)fragment)
                length = (size_t)fragment;
            now = put_header(header, (unsigned char)((done ? 0 : first) | (done + length == total ? 0x80 : 0)),
                             length);
            if (write_all(c->fd, header, now) < 0)
                goto out;
            while (length) {
                now = size - done % size;
                if (now > length)
                    now = length;
                if (write_all(c->fd, payload + done % size, now) < 0)
                    goto out;
                done += now;
                length -= now;
            }
        }
    }
    while (next_data(c, &f))
        ;
out:
    munmap(payload, size);
}

static void echo(struct connection *c)
{
    struct frame f;

    while (next_data(c, &f))
        if (send_frame(c->fd, f.first, f.payload, f.length) < 0)
            return;
}

static void sink(struct connection *c, long warm, long count)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char *first = NULL, *report = malloc(16 + 200 + 2 * PREFIX);
    char *prefix = malloc(2 * PREFIX + 1);
    size_t first_length = 0, prefix_length = 0, i;
    unsigned long long bytes = 0;
    long messages = 0, differing = 0, compressed = 0;
    struct frame f;
    int length;

    while (report && prefix && next_data(c, &f)) {
        if (f.first & 0x40)
            compressed++;
        bytes += f.length;
        for (i = 0; i < f.length && f.first & 0x40 && prefix_length < 2 * PREFIX; i++) {
            prefix[prefix_length++] = digits[f.payload[i] >> 4];
            prefix[prefix_length++] = digits[f.payload[i] & 15];
        }
        for (i = 0; i < 4 && f.first & 0x40 && prefix_length < 2 * PREFIX; i++) {
            memcpy(prefix + prefix_length, i < 2 ? "00" : "ff", 2);     /* RFC 7692, 7.2.1 */
            prefix_length += 2;
        }
        if (!first) {
            first = malloc(f.length + 1);
            if (!first)
                break;
            memcpy(first, f.payload, f.length);
            first_length = f.length;
        } else if (f.length != first_length || memcmp(first, f.payload, f.length))
            differing++;
        if (!(f.first & 0x80))
            continue;
        messages++;
        if (messages == warm || messages == warm + count) {
            prefix[prefix_length] = 0;
            length = sprintf((char *)report + 16, "%ld %llu %ld %ld %s",
                             messages, bytes, differing, compressed, prefix);
            if (send_frame(c->fd, 0x81, report + 16, (size_t)length) < 0)
                break;
        }
    }
    free(first);
    free(report);
    free(prefix);
}

static int shake_hands(struct connection *c, char path[512])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char *head, *end, *line, keyed[128] = "", accept[64];
    unsigned char digest[20];
    char answer[512];
    int wants_deflate = 0;

    for (;;) {
        if (c->end == c->size || fill(c, c->end + 1) <= 0)
            return -1;
        c->buffer[c->end < c->size ? c->end : c->size - 1] = 0;
        head = (char *)c->buffer;
        end = strstr(head, "\r\n\r\n");
        if (end)
            break;
    }
    c->start = (size_t)(end + 4 - head);
    end[2] = 0;
    if (sscanf(head, "GET %511s", path) != 1)
        return -1;
    for (line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        if (!strncasecmp(line + 2, "sec-websocket-key:", 18))
            sscanf(line + 20, " %60[^ \r\n]", keyed);
        else if (!strncasecmp(line + 2, "sec-websocket-extensions:", 25)) {
            char *stop = strstr(line + 2, "\r\n"), *found = strstr(line, "permessage-deflate");
            wants_deflate |= found && stop && found < stop;
        }
    }
    strcat(keyed, guid);
    sha1((unsigned char *)keyed, strlen(keyed), digest);
    base64(digest, 20, accept);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept,
             wants_deflate && strstr(path, "?deflate")
                 ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
    return write_all(c->fd, (unsigned char *)answer, strlen(answer));
}

static void *serve(void *argument)
{
    struct connection c = {(int)(intptr_t)argument, NULL, FIRST_BUFFER, 0, 0};
    char path[512], name[256];
    struct frame f;
    long warm, count, fragment;
    int first, on = 1;

    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c.buffer = malloc(c.size);
    if (c.buffer && shake_hands(&c, path) == 0) {
        if (sscanf(path, "/stream/%255[^/]/%ld/%ld", name, &warm, &count) == 3)
            stream(&c, name, warm, count);
        else if (sscanf(path, "/sink/%ld/%ld", &warm, &count) == 2)
            sink(&c, warm, count);
        else if (sscanf(path, "/parts/%255[^/]/%d/%ld/%ld/%ld", name, &first, &fragment, &warm, &count) == 5)
            parts(&c, name, first, fragment, warm, count);
        else if (!strncmp(path, "/echo", 5))
            echo(&c);
        else if (!strncmp(path, "/idle", 5))
            while (next_data(&c, &f))
                ;
    }
    close(c.fd);
    free(c.buffer);
    return NULL;
}

static void *watch_input(void *unused)
{
    char data[64];

    while (read(0, data, sizeof data) > 0)
        ;
    _exit(0);
    return unused;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    pthread_attr_t attributes;
    pthread_t thread;
    int listener, fd;

    if (argc != 2) {
        fprintf(stderr, "usage: server FOLDER\n");
        return 2;
    }
    folder = argv[1];
    signal(SIGPIPE, SIG_IGN);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0
            || listen(listener, 1000) < 0
            || getsockname(listener, (struct sockaddr *)&address, &length) < 0) {
        perror("server");
        return 1;
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_create(&thread, &attributes, watch_input, NULL);
    for (;;) {
        fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (pthread_create(&thread, &attributes, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
}
