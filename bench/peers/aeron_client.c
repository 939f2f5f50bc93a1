/*
 * Aeron's C client in native loops: a publisher and a subscriber of aeron:ipc, and the two ends of a ping-pong.
 *
 * Built by bench/peers/aeron.py as a shared library; the aeron_ symbols are those of the client that is inside pyaeron.
 * Messages of LENGTH bytes whose every 8 bytes are their number; the reading side checks them.
 */
#include <stdint.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL "aeron:ipc?term-length=64m"
#define LENGTH 48
#define FRAGMENTS 64
#define FAILED (-1)
#define WRONG_MESSAGE (-2)
#define TIMED_OUT (-3)
#define LIMIT_NS 60000000000LL

typedef struct { uint8_t *frame_header; uint8_t *data; size_t length; } claim_t;
typedef void (*handler_t)(void *state, const uint8_t *buffer, size_t length, void *header);

int aeron_context_init(void **context);
int aeron_context_set_dir(void *context, const char *directory);
int aeron_init(void **client, void *context);
int aeron_start(void *client);
int aeron_close(void *client);
int aeron_async_add_exclusive_publication(void **async, void *client, const char *uri, int32_t stream);
int aeron_async_add_exclusive_publication_poll(void **publication, void *async);
int aeron_async_add_subscription(
    void **async, void *client, const char *uri, int32_t stream, void *on, void *on_state, void *off, void *off_state);
int aeron_async_add_subscription_poll(void **subscription, void *async);
int aeron_exclusive_publication_is_connected(void *publication);
int64_t aeron_exclusive_publication_try_claim(void *publication, size_t length, claim_t *claim);
int aeron_buffer_claim_commit(claim_t *claim);
int aeron_subscription_poll(void *subscription, handler_t handler, void *state, size_t limit);

typedef struct { int64_t sequence; int64_t wrong; } reading_t;

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

void *aeron_peer_connect(const char *directory)
{
    void *context = NULL, *client = NULL;
    if (aeron_context_init(&context) < 0 || aeron_context_set_dir(context, directory) < 0 ||
        aeron_init(&client, context) < 0 || aeron_start(client) < 0)
    {
        return NULL;
    }
    return client;
}

int64_t aeron_peer_close(void *client)
{
    return aeron_close(client);
}

void *aeron_peer_publication(void *client, int32_t stream)
{
    void *async = NULL, *publication = NULL;
    if (aeron_async_add_exclusive_publication(&async, client, CHANNEL, stream) < 0)
    {
        return NULL;
    }
    while (publication == NULL && aeron_async_add_exclusive_publication_poll(&publication, async) >= 0)
    {
        usleep(1000);
    }
    return publication;
}

void *aeron_peer_subscription(void *client, int32_t stream)
{
    void *async = NULL, *subscription = NULL;
    if (aeron_async_add_subscription(&async, client, CHANNEL, stream, NULL, NULL, NULL, NULL) < 0)
    {
        return NULL;
    }
    while (subscription == NULL && aeron_async_add_subscription_poll(&subscription, async) >= 0)
    {
        usleep(1000);
    }
    return subscription;
}

static int64_t wait_connected(void *publication)
{
    int64_t deadline = now_ns() + LIMIT_NS;
    while (!aeron_exclusive_publication_is_connected(publication))
    {
        if (now_ns() > deadline)
        {
            return TIMED_OUT;
        }
        usleep(1000);
    }
    return 0;
}

static int64_t send_one(void *publication, int64_t sequence, int64_t deadline)
{
    claim_t claim;
    uint32_t turns = 0;
    while (aeron_exclusive_publication_try_claim(publication, LENGTH, &claim) < 0)
    {
        if ((++turns & 0xFFF) == 0 && now_ns() > deadline)
        {
            return TIMED_OUT;
        }
        __builtin_ia32_pause();
    }
    for (int offset = 0; offset < LENGTH; offset += 8)
    {
        memcpy(claim.data + offset, &sequence, 8);
    }
    return aeron_buffer_claim_commit(&claim);
}

static void check(void *state, const uint8_t *buffer, size_t length, void *header)
{
    reading_t *reading = state;
    reading->sequence++;
    (void)header;
    for (size_t offset = 0; offset < length; offset += 8)
    {
        reading->wrong |= memcmp(buffer + offset, &reading->sequence, 8) != 0;
    }
}

static int64_t read_until(void *subscription, reading_t *reading, int64_t until, int64_t deadline)
{
    uint32_t turns = 0;
    while (reading->sequence < until)
    {
        int64_t left = until - reading->sequence;
        int got = aeron_subscription_poll(subscription, check, reading, left < FRAGMENTS ? left : FRAGMENTS);
        if (got < 0 || reading->wrong)
        {
            return got < 0 ? FAILED : WRONG_MESSAGE;
        }
        if (got == 0)
        {
            if ((++turns & 0xFFF) == 0 && now_ns() > deadline)
            {
                return TIMED_OUT;
            }
            __builtin_ia32_pause();
        }
    }
    return 0;
}

/* Offer `count` messages; 0 or a negative code. */
int64_t aeron_peer_publish(void *publication, int64_t count)
{
    int64_t answer = wait_connected(publication), deadline = now_ns() + LIMIT_NS;
    for (int64_t sequence = 1; sequence <= count && answer >= 0; sequence++)
    {
        answer = send_one(publication, sequence, deadline);
    }
    return answer;
}

/* Read `warm` messages, then `count` more: nanoseconds for the latter, or a negative code. */
int64_t aeron_peer_read(void *subscription, int64_t warm, int64_t count)
{
    reading_t reading = { 0, 0 };
    int64_t deadline = now_ns() + LIMIT_NS;
    int64_t answer = read_until(subscription, &reading, warm, deadline);
    int64_t begin = now_ns();
    if (answer == 0)
    {
        answer = read_until(subscription, &reading, warm + count, deadline);
    }
    return answer < 0 ? answer : now_ns() - begin;
}

/* `count` round trips, each timed into `samples`; 0 or a negative code. */
int64_t aeron_peer_ping(void *publication, void *subscription, int64_t count, int64_t *samples)
{
    reading_t reading = { 0, 0 };
    int64_t answer = wait_connected(publication), deadline = now_ns() + LIMIT_NS;
    for (int64_t sequence = 1; sequence <= count && answer >= 0; sequence++)
    {
        int64_t begin = now_ns();
        answer = send_one(publication, sequence, deadline);
        if (answer >= 0)
        {
            answer = read_until(subscription, &reading, sequence, deadline);
        }
        samples[sequence - 1] = now_ns() - begin;
    }
    return answer;
}

/* Answer `count` messages with a message of the same number; 0 or a negative code. */
int64_t aeron_peer_echo(void *publication, void *subscription, int64_t count)
{
    reading_t reading = { 0, 0 };
    int64_t answer = wait_connected(publication), deadline = now_ns() + LIMIT_NS;
    for (int64_t sequence = 1; sequence <= count && answer >= 0; sequence++)
    {
        answer = read_until(subscription, &reading, sequence, deadline);
        if (answer >= 0)
        {
            answer = send_one(publication, sequence, deadline);
        }
    }
    return answer;
}
