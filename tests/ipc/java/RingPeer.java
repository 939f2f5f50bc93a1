import java.io.RandomAccessFile;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;

import org.agrona.concurrent.UnsafeBuffer;
import org.agrona.concurrent.ringbuffer.OneToOneRingBuffer;

/** Agrona's own ring over a segment of ours: writes or reads numbered messages whose length and bytes follow from the number. */
public final class RingPeer
{
    private static final int SEGMENT_PAGE = 4096;
    private static final int INGRESS_HEADER = 16;
    private static final long LIMIT_NS = 30_000_000_000L;

    public static void main(final String[] args) throws Exception
    {
        final int count = Integer.parseInt(args[2]);
        final int longest = Integer.parseInt(args[3]);
        try (RandomAccessFile file = new RandomAccessFile(args[1], "rw"))
        {
            final MappedByteBuffer mapped = file.getChannel().map(
                FileChannel.MapMode.READ_WRITE, SEGMENT_PAGE, file.length() - SEGMENT_PAGE);
            final OneToOneRingBuffer ring = new OneToOneRingBuffer(new UnsafeBuffer(mapped));
            if (args[0].equals("write"))
            {
                write(ring, count, longest);
            }
            else
            {
                read(ring, count, longest);
            }
        }
    }

    private static int length(final long sequence, final int longest)
    {
        return (int)(sequence * 37 % (longest + 1));
    }

    private static void write(final OneToOneRingBuffer ring, final int count, final int longest)
    {
        final UnsafeBuffer body = new UnsafeBuffer(new byte[INGRESS_HEADER + longest]);
        final long deadline = System.nanoTime() + LIMIT_NS;
        for (long sequence = 1; sequence <= count; sequence++)
        {
            final int length = length(sequence, longest);
            body.putLong(0, sequence);
            body.putLong(8, -sequence);
            body.setMemory(INGRESS_HEADER, length, (byte)sequence);
            while (!ring.write(1, body, 0, INGRESS_HEADER + length))
            {
                giveWay(deadline);
            }
        }
        System.out.println("wrote " + count + " tail " + ring.producerPosition());
    }

    private static void read(final OneToOneRingBuffer ring, final int count, final int longest)
    {
        final long[] expected = {1};
        final long deadline = System.nanoTime() + LIMIT_NS;
        while (expected[0] <= count)
        {
            final int got = ring.read((type, buffer, index, size) ->
            {
                final long sequence = expected[0]++;
                boolean same = type == 1 && size == INGRESS_HEADER + length(sequence, longest) &&
                    buffer.getLong(index) == sequence;
                for (int i = INGRESS_HEADER; i < size; i++)
                {
                    same &= buffer.getByte(index + i) == (byte)sequence;
                }
                if (!same)
                {
                    throw new IllegalStateException("message " + sequence + " size " + size + " type " + type);
                }
            });
            if (got == 0)
            {
                giveWay(deadline);
            }
        }
        System.out.println("read " + count + " head " + ring.consumerPosition());
    }

    private static void giveWay(final long deadline)
    {
        if (System.nanoTime() > deadline)
        {
            throw new IllegalStateException("the other side does nothing");
        }
        Thread.yield();
    }
}
