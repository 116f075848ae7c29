//! Special addresses, which are not hosts of a company network, and how IPv6 embeds them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prefix length of a single IPv6 address.
const WHOLE: u8 = 128;

/// The first address of a range, and its prefix length.
type Range<const OCTETS: usize> = ([u8; OCTETS], u8);

const SPECIAL_V4: &[Range<4>] = &[
    ([0, 0, 0, 0], 8),          // this network, unspecified
    ([127, 0, 0, 0], 8),        // loopback
    ([169, 254, 0, 0], 16),     // link-local
    ([169, 254, 169, 254], 32), // metadata of most clouds
    ([169, 254, 170, 2], 32),   // credentials of containers (AWS)
    ([169, 254, 170, 23], 32),  // credentials of pods (AWS)
    ([169, 254, 0, 23], 32),    // metadata (Tencent)
    ([100, 100, 100, 200], 32), // metadata (Alibaba)
    ([192, 0, 0, 192], 32),     // metadata (Oracle)
    ([168, 63, 129, 16], 32),   // the host of a machine (Azure)
    ([192, 0, 0, 0], 24),       // protocol assignments
    ([192, 0, 2, 0], 24),       // documentation
    ([192, 88, 99, 0], 24),     // relays of 6to4
    ([198, 18, 0, 0], 15),      // benchmarks
    ([198, 51, 100, 0], 24),    // documentation
    ([203, 0, 113, 0], 24),     // documentation
    ([224, 0, 0, 0], 4),        // multicast
    ([240, 0, 0, 0], 4),        // reserved
    ([255, 255, 255, 255], 32), // broadcast
];

const SPECIAL_V6: &[Range<16>] = &[
    (range([0, 0, 0, 0, 0, 0, 0, 0]), 96), // unspecified, loopback, IPv4-compatible
    (range([0, 0, 0, 0, 0, 0, 0, 0]), 128), // unspecified
    (range([0, 0, 0, 0, 0, 0, 0, 1]), 128), // loopback
    (range([0x64, 0xff9b, 1, 0, 0, 0, 0, 0]), 48), // local-use NAT64
    (range([0x100, 0, 0, 0, 0, 0, 0, 0]), 64), // discarded
    (range([0x2001, 0, 0, 0, 0, 0, 0, 0]), 23), // protocol assignments
    (range([0x2001, 0, 0, 0, 0, 0, 0, 0]), 32), // Teredo
    (range([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]), 32), // documentation
    (range([0x2002, 0, 0, 0, 0, 0, 0, 0]), 16), // 6to4
    (range([0x3fff, 0, 0, 0, 0, 0, 0, 0]), 20), // documentation
    (range([0x5f00, 0, 0, 0, 0, 0, 0, 0]), 16), // segment routing
    (range([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]), 128), // metadata (AWS)
    (range([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]), 128), // credentials of pods (AWS)
    (range([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]), 128), // metadata (Google)
    (range([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]), 128), // metadata (Oracle)
    (range([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]), 128), // metadata (Scaleway)
    (range([0xfe80, 0, 0, 0, 0, 0, 0, 0]), 10), // link-local
    (range([0xfec0, 0, 0, 0, 0, 0, 0, 0]), 10), // site-local, as it was
    (range([0xff00, 0, 0, 0, 0, 0, 0, 0]), 8), // multicast
];

const fn range(segments: [u16; 8]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Addr::new(a, b, c, d, e, f, g, h).octets()
}

/// The shortest prefix with which a listed network opens a special address: such a network lies inside every
/// special range around the address. `None`: the address is not special. Unwrap IPv4-mapped addresses before
/// the call.
pub(super) fn prefix(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V4(v4) => longest(SPECIAL_V4, v4.octets()),
        IpAddr::V6(v6) => {
            let inner = embedded(v6).into_iter().flatten().filter_map(|(v4, before)| {
                let special = longest(SPECIAL_V4, v4.octets())?;
                Some(before.map_or(WHOLE, |bits| bits + special))
            });
            inner.chain(longest(SPECIAL_V6, v6.octets())).max()
        }
    }
}

/// The longest prefix of the ranges that contain an address.
fn longest<const OCTETS: usize>(ranges: &[Range<OCTETS>], address: [u8; OCTETS]) -> Option<u8> {
    let holds = |(start, prefix): &&Range<OCTETS>| {
        start.iter().zip(address).enumerate().all(|(place, (theirs, ours))| {
            let bits = usize::from(*prefix).saturating_sub(place * 8).min(8);
            let mask = u8::try_from(0xff00_u16 >> bits & 0xff).unwrap_or(0);
            theirs & mask == ours & mask
        })
    };
    ranges.iter().filter(holds).map(|(_, prefix)| *prefix).max()
}

/// The IPv4 addresses that an IPv6 address may lead to, each with the number of bits before it. Without a
/// number they are not contiguous, and only the whole address names them.
fn embedded(v6: Ipv6Addr) -> [Option<(Ipv4Addr, Option<u8>)>; 2] {
    let octets = v6.octets();
    let at =
        |place: usize| Ipv4Addr::new(octets[place], octets[place + 1], octets[place + 2], octets[place + 3]);
    let last = Some((at(12), Some(96)));
    match v6.segments() {
        // IPv4-compatible; NAT64.
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => [last, None],
        // Local-use NAT64: at the end, or around the empty octet (RFC 6052, 2.2).
        [0x64, 0xff9b, 1, ..] => {
            let around = Ipv4Addr::new(octets[6], octets[7], octets[9], octets[10]);
            [last, Some((around, None)).filter(|(v4, _)| v4.octets()[0] != 0)]
        }
        // Teredo: its server, and its client with inverted bits.
        [0x2001, 0, ..] => [Some((at(4), Some(32))), Some((Ipv4Addr::from_bits(!at(12).to_bits()), None))],
        [0x2002, ..] => [Some((at(2), Some(16))), None],
        // ISATAP, in any network.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None],
        _ => [None, None],
    }
}
