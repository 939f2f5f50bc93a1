import com.lmax.disruptor.BusySpinWaitStrategy;
import com.lmax.disruptor.RingBuffer;
import com.lmax.disruptor.Sequence;
import com.lmax.disruptor.SequenceBarrier;

/**
 * LMAX Disruptor between two threads of this JVM: slots of six longs, each the message's number, checked by the reader.
 * Arguments: messages to warm up with, messages to time. Prints nanoseconds for the latter.
 */
public final class DisruptorRing
{
    private static final int SLOTS = 1 << 16;

    private static final class Slot
    {
        long first;
        long second;
        long third;
        long fourth;
        long fifth;
        long sixth;
    }

    public static void main(final String[] args) throws Exception
    {
        final long warm = Long.parseLong(args[0]);
        final long count = warm + Long.parseLong(args[1]);
        final RingBuffer<Slot> ring = RingBuffer.createSingleProducer(Slot::new, SLOTS, new BusySpinWaitStrategy());
        final Sequence consumed = new Sequence();
        ring.addGatingSequences(consumed);
        final SequenceBarrier barrier = ring.newBarrier();
        final Thread producer = new Thread(() -> write(ring, count));
        producer.setDaemon(true);
        producer.start();
        read(ring, barrier, consumed, warm);
        final long begin = System.nanoTime();
        read(ring, barrier, consumed, count);
        System.out.println(System.nanoTime() - begin);
    }

    private static void write(final RingBuffer<Slot> ring, final long count)
    {
        for (long number = 0; number < count; number++)
        {
            final long sequence = ring.next();
            final Slot slot = ring.get(sequence);
            slot.first = number;
            slot.second = number;
            slot.third = number;
            slot.fourth = number;
            slot.fifth = number;
            slot.sixth = number;
            ring.publish(sequence);
        }
    }

    private static void read(
        final RingBuffer<Slot> ring, final SequenceBarrier barrier, final Sequence consumed, final long until)
        throws Exception
    {
        long next = consumed.get() + 1;
        while (next < until)
        {
            final long available = Math.min(barrier.waitFor(next), until - 1);
            for (; next <= available; next++)
            {
                final Slot slot = ring.get(next);
                if (slot.first != next || slot.second != next || slot.third != next || slot.fourth != next ||
                    slot.fifth != next || slot.sixth != next)
                {
                    throw new IllegalStateException("message " + next);
                }
            }
            consumed.set(available);
        }
    }
}
