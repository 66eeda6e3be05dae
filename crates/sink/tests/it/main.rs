//! Sinks against real receivers.
