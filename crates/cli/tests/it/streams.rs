//! Streams of a running server to real receivers, while these are away, slow, break off and refuse, and the server is killed: what the receiver has at the
//! end is compared with the log.

mod control;
mod faults;
mod site;
mod takeover;
