/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * notify_sink PATH N: stands for systemd in the tests of readiness. Prints "listening", then the
 * first line of each message that comes to PATH, and ends after N. One thread.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void say(const char *line)
{
    if (puts(line) < 0 || fflush(stdout) != 0) {
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path)) {
        return 2;
    }
    memcpy(address.sun_path, argv[1], strlen(argv[1]) + 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        perror(argv[1]);
        return 1;
    }
    say("listening");
    for (long n = strtol(argv[2], NULL, 10); n > 0; n--) {
        char message[512];
        ssize_t len = recv(fd, message, sizeof(message) - 1, 0);
        if (len < 0) {
            perror("recv");
            return 1;
        }
        message[len] = '\0';
        message[strcspn(message, "\n")] = '\0';
        say(message);
    }
    (void)close(fd);
    return 0;
}
