"""What it takes to run the peers that are not Python: Agrona and Disruptor in Java, Aeron's C client."""
