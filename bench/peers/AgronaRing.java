import java.nio.ByteBuffer;

import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.concurrent.ringbuffer.OneToOneRingBuffer;
import org.agrona.concurrent.ringbuffer.RingBufferDescriptor;

/**
 * Agrona's one-to-one ring between two threads of this JVM: messages of LENGTH bytes whose every long is their number,
 * checked by the reader. Arguments: messages to warm up with, messages to time. Prints nanoseconds for the latter.
 */
public final class AgronaRing
{
    private static final int CAPACITY = 1 << 22;
    private static final int LENGTH = 48;
    private static final int BATCH = 64;

    public static void main(final String[] args) throws Exception
    {
        final long warm = Long.parseLong(args[0]);
        final long count = warm + Long.parseLong(args[1]);
        final OneToOneRingBuffer ring = new OneToOneRingBuffer(
            new UnsafeBuffer(ByteBuffer.allocateDirect(CAPACITY + RingBufferDescriptor.TRAILER_LENGTH)));
        final Thread producer = new Thread(() -> write(ring, count));
        producer.setDaemon(true);
        producer.start();
        final long[] sequence = {0};
        read(ring, sequence, warm);
        final long begin = System.nanoTime();
        read(ring, sequence, count);
        System.out.println(System.nanoTime() - begin);
    }

    private static void write(final OneToOneRingBuffer ring, final long count)
    {
        final UnsafeBuffer body = new UnsafeBuffer(new byte[LENGTH]);
        for (long sequence = 1; sequence <= count; sequence++)
        {
            for (int offset = 0; offset < LENGTH; offset += 8)
            {
                body.putLong(offset, sequence);
            }
            while (!ring.write(1, body, 0, LENGTH))
            {
                Thread.onSpinWait();
            }
        }
    }

    private static void read(final OneToOneRingBuffer ring, final long[] sequence, final long until)
    {
        while (sequence[0] < until)
        {
            final int got = ring.read((type, buffer, index, length) ->
            {
                final long expected = ++sequence[0];
                for (int offset = 0; offset < length; offset += 8)
                {
                    if (buffer.getLong(index + offset) != expected)
                    {
                        throw new IllegalStateException("message " + expected);
                    }
                }
            }, (int)Math.min(BATCH, until - sequence[0]));
            if (got == 0)
            {
                Thread.onSpinWait();
            }
        }
    }
}
