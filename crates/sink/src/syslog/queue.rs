//! What of a connection lies in this machine still: bytes that the receiver's machine has not acknowledged.
//!
//! Source: Linux, `Documentation/networking/proc_net_tcp.rst`. Other systems have no such file, and a connection without a line counts as unknown.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpStream};

/// Connections over IPv4, and over IPv6 with those whose IPv4 addresses are written as such of IPv6.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
/// Looks into the tables before a connection counts as not there: they change while they are read, and a line may be missed.
const LOOKS: u32 = 2;

/// Bytes that were written and not acknowledged; nothing where that cannot be known.
pub(super) fn unacknowledged_bytes(socket: &TcpStream) -> Option<u64> {
    let ends = (socket.local_addr().ok()?, socket.peer_addr().ok()?);
    let look = |path: &&str| find(BufReader::new(File::open(path).ok()?), ends).ok().flatten();
    (0..LOOKS).find_map(|_| TABLES.iter().find_map(look))
}

fn find(table: impl BufRead, (local, remote): (SocketAddr, SocketAddr)) -> io::Result<Option<u64>> {
    for line in table.lines() {
        let line = line?;
        if let Some((from, to, bytes)) = read_line(&line)
            && (from, to) == (plain(local), plain(remote))
        {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

/// An address without its clothes of IPv6, and its port.
type End = (IpAddr, u16);

fn plain(address: SocketAddr) -> End {
    (address.ip().to_canonical(), address.port())
}

/// Reads `NUMBER: LOCAL REMOTE STATE TX_QUEUE:RX_QUEUE ...`; nothing of another line, such as the first.
fn read_line(line: &str) -> Option<(End, End, u64)> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let (local, remote) = (read_end(columns.next()?)?, read_end(columns.next()?)?);
    let (unacknowledged, _) = columns.nth(1)?.split_once(':')?;
    Some((local, remote, u64::from_str_radix(unacknowledged, 16).ok()?))
}

/// Reads `ADDRESS:PORT` in hex. The address is of one or four words, each as this machine has it in memory.
fn read_end(text: &str) -> Option<End> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let octets = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::from(<[u8; 16]>::try_from(octets).ok()?)
        }
        _ => return None,
    };
    Some((address.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two ends of a connection on one machine, and a listener.
    const V4: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0019 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0
   1: 0100007F:A71B 0201000A:0202 01 0002A300:00000000 01:00000015 00000003  1000        0 13 1 0 20 4 30 10 -1
   2: 0201000A:0202 0100007F:A71B 01 00000000:0001F400 00:00000000 00000000  1000        0 14 1 0 20 4 30 10 -1
";
    const V6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 0000000000000000FFFF00000100007F:A71C 0000000000000000FFFF00000201000A:0202 01 00000005:00000000 00:00000000
   1: B80D0120000000000000000001000000:A71B B80D0120000000000000000002000000:0202 01 00000007:00000000 00:00000000
";

    #[cfg(target_endian = "little")]
    #[test]
    fn a_connection_is_found_by_both_its_ends() {
        for (table, local, remote, expected) in [
            (V4, "127.0.0.1:42779", "10.0.1.2:514", Some(0x2_a300)),
            (V4, "10.0.1.2:514", "127.0.0.1:42779", Some(0)),
            (V4, "[::ffff:127.0.0.1]:42779", "[::ffff:10.0.1.2]:514", Some(0x2_a300)),
            (V4, "127.0.0.1:42779", "10.0.1.2:515", None),
            (V4, "127.0.0.1:42778", "10.0.1.2:514", None),
            (V6, "127.0.0.1:42780", "10.0.1.2:514", Some(5)),
            (V6, "[2001:db8::1]:42779", "[2001:db8::2]:514", Some(7)),
            (V6, "[2001:db8::1]:42779", "[2001:db8::3]:514", None),
        ] {
            let ends = (local.parse().unwrap(), remote.parse().unwrap());
            assert_eq!(find(table.as_bytes(), ends).unwrap(), expected, "{local} {remote}");
        }
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in [
            "",
            "   0:",
            "   0: 0100007F:0019 00000000:0000 0A",
            "   0: 0100007F:0019 00000000:0000 0A 00000000",
            "   0: 0100007F 00000000:0000 0A 00000000:00000000",
            "   0: 0100007Fä:0019 00000000:0000 0A 00000000:00000000",
            "   0: 01000é7F:0019 00000000:0000 0A 00000000:00000000",
            "   0: 0100007G:0019 00000000:0000 0A 00000000:00000000",
        ] {
            assert_eq!(read_line(line), None, "{line}");
        }
    }
}
