//! Where a picture was taken: blanked in its EXIF and XMP, without a change of its length.

/// Begin EXIF in AVIF, behind an offset of 0.
const BARE: [&[u8]; 2] = [b"\0\0\0\0II*\0", b"\0\0\0\0MM\0*"];
/// Begins EXIF in JPEG, HEIC, and often in WebP.
const EXIF: &[u8] = b"Exif\0\0";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const XMP_BEGIN: &[u8] = b"<x:xmpmeta";
const XMP_END: &[u8] = b"</x:xmpmeta>";
/// The tag of the place in EXIF: it points to a list of its own.
const GPS: u16 = 0x8825;
/// Most entries of a list, and most lists. Real ones have about a hundred, and two.
const ENTRIES_MAX: usize = 2_000;
const LISTS_MAX: usize = 8;
const ENTRY_BYTES: usize = 12;
/// Most bytes of a value of the place. Real ones have at most a few hundred.
const VALUE_MAX: usize = 4_096;
/// Looking stops after so many steps for each byte of the file: a file can be made so that looking never ends.
const STEPS_A_BYTE: usize = 4;

/// Whether a file of this type can say where it was taken.
pub fn is_told_by(media_type: &str) -> bool {
    ["image/jpeg", "image/png", "image/webp", "image/heif", "image/heic", "image/avif", "image/tiff"]
        .contains(&media_type)
}

/// Blanks the place. Returns whether there was one.
pub fn blank(bytes: &mut [u8]) -> bool {
    let mut found = false;
    let mut steps = bytes.len().saturating_mul(STEPS_A_BYTE);
    for at in all(bytes, EXIF) {
        found |= blank_exif(&mut bytes[at + EXIF.len()..], &mut steps);
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        for at in BARE.iter().flat_map(|begin| all(bytes, begin)).collect::<Vec<_>>() {
            found |= blank_exif(&mut bytes[at + 4..], &mut steps);
        }
    }
    if bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*") {
        found |= blank_exif(bytes, &mut steps);
    }
    let mut from = 0;
    while let Some((begin, end)) = between(bytes, from, XMP_BEGIN, XMP_END) {
        found |= blank_xmp(&mut bytes[begin..end]);
        from = end;
    }
    if bytes.starts_with(PNG) {
        found |= blank_png(bytes, &mut steps);
    }
    if bytes.starts_with(b"RIFF") {
        for (begin, length) in chunks(bytes, 12, b"EXIF", Order::Webp) {
            found |= blank_exif(&mut bytes[begin..begin + length], &mut steps);
        }
    }
    found
}

/// The next place from `from` on that begins with one text and ends before another.
fn between(bytes: &[u8], from: usize, begin: &[u8], end: &[u8]) -> Option<(usize, usize)> {
    let at = from + first(&bytes[from..], begin)?;
    Some((at, at + first(&bytes[at..], end)?))
}

/// Where `needle` begins, each time.
fn all(bytes: &[u8], needle: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = first(&bytes[from..], needle) {
        found.push(from + at);
        from += at + needle.len();
    }
    found
}

fn first(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == needle[0]) {
        if bytes[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

/// How chunks tell their length and name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Length, name, content, checksum.
    Png,
    /// Name, length, content, at even places.
    Webp,
}

/// The places and lengths of the contents of chunks with this name.
fn chunks(bytes: &[u8], first: usize, name: &[u8; 4], order: Order) -> Vec<(usize, usize)> {
    let (mut at, mut found) = (first, Vec::new());
    while let Some(head) = bytes.get(at..at + 8) {
        let four = |from: usize| [head[from], head[from + 1], head[from + 2], head[from + 3]];
        let (length, named, behind) = match order {
            Order::Png => (u32::from_be_bytes(four(0)), four(4), 4),
            Order::Webp => (u32::from_le_bytes(four(4)), four(0), 0),
        };
        let length = length as usize;
        let Some(end) = at.checked_add(8 + length).filter(|end| *end <= bytes.len()) else { break };
        if named == *name {
            found.push((at + 8, length));
        }
        let even = if order == Order::Webp { length % 2 } else { 0 };
        at = end + behind + even;
    }
    found
}

/// The chunk of a PNG has EXIF without its beginning, and a checksum. So does the chunk with XMP, blanked before.
fn blank_png(bytes: &mut [u8], steps: &mut usize) -> bool {
    let mut found = false;
    for (begin, length) in chunks(bytes, PNG.len(), b"eXIf", Order::Png) {
        found |= blank_exif(&mut bytes[begin..begin + length], steps);
    }
    for name in [b"eXIf", b"iTXt"] {
        for (begin, length) in chunks(bytes, PNG.len(), name, Order::Png) {
            let sum = crc32(&bytes[begin - 4..begin + length]).to_be_bytes();
            if let Some(told) = bytes.get_mut(begin + length..begin + length + 4) {
                told.copy_from_slice(&sum);
            }
        }
    }
    found
}

/// The checksum of PNG chunks (ISO 3309).
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
    }
    !sum
}

/// EXIF is a TIFF: lists of entries with a tag each.
struct Tiff<'a> {
    bytes: &'a mut [u8],
    is_little: bool,
    /// Steps that are left for the whole file.
    steps: &'a mut usize,
}

fn blank_exif(bytes: &mut [u8], steps: &mut usize) -> bool {
    let is_little = match bytes.get(..4) {
        Some(b"II*\0") => true,
        Some(b"MM\0*") => false,
        _ => return false,
    };
    Tiff { bytes, is_little, steps }.blank()
}

impl Tiff<'_> {
    fn short(&self, at: usize) -> Option<u16> {
        let two = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    }

    fn long(&self, at: usize) -> Option<usize> {
        let four = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) } as usize)
    }

    fn blank(&mut self) -> bool {
        let mut found = false;
        let mut list = self.long(4);
        for _ in 0..LISTS_MAX {
            let Some((at, count)) = list.and_then(|at| Some((at, self.entries(at)?))) else { break };
            for entry in (0..count).map(|n| at + 2 + n * ENTRY_BYTES) {
                if !self.step(1) {
                    return found;
                }
                if self.short(entry) == Some(GPS)
                    && let Some(gps) = self.long(entry + 8)
                {
                    found |= self.blank_list(gps);
                }
            }
            list = self.long(at + 2 + count * ENTRY_BYTES).filter(|next| *next > 0);
        }
        found
    }

    /// Whether there are steps left.
    fn step(&mut self, count: usize) -> bool {
        let left = self.steps.checked_sub(count);
        *self.steps = left.unwrap_or(0);
        left.is_some()
    }

    fn entries(&self, list: usize) -> Option<usize> {
        self.short(list).map(usize::from).filter(|count| *count <= ENTRIES_MAX)
    }

    /// Blanks the values of a list, wherever they lie, then the list: it has no entries any more.
    fn blank_list(&mut self, list: usize) -> bool {
        let Some(count) = self.entries(list).filter(|count| *count > 0) else { return false };
        for entry in (0..count).map(|n| list + 2 + n * ENTRY_BYTES) {
            let sizes = self.short(entry + 2).zip(self.long(entry + 4)).zip(self.long(entry + 8));
            let Some(((kind, number), at)) = sizes else { break };
            let bytes = number.saturating_mul(match kind {
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 => 8,
                _ => 1,
            });
            if bytes > 4 && bytes <= VALUE_MAX && self.step(bytes) {
                self.zero(at, bytes);
            }
        }
        self.zero(list, 2 + count * ENTRY_BYTES);
        true
    }

    fn zero(&mut self, at: usize, length: usize) {
        let end = at.saturating_add(length).min(self.bytes.len());
        if let Some(bytes) = self.bytes.get_mut(at..end) {
            bytes.fill(0);
        }
    }
}

/// Blanks the values of `exif:GPS…`, as attributes or as elements.
fn blank_xmp(xmp: &mut [u8]) -> bool {
    let (mut found, mut from) = (false, 0);
    while let Some(at) = first(&xmp[from..], b":GPS").map(|at| from + at) {
        let name = xmp[at + 1..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let after = at + 1 + name;
        let blanks = xmp[after..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let end = match xmp.get(after + blanks) {
            Some(b'=') => {
                let value = &xmp[after + blanks + 1..];
                let quote = value.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let is_quoted = matches!(value.get(quote), Some(b'"' | b'\''));
                is_quoted.then(|| (after + blanks + 2 + quote, value[quote]))
            }
            Some(b'>') => Some((after + blanks + 1, b'<')),
            _ => None,
        };
        // Each byte is looked at once: the next search goes on behind this value.
        from = after + blanks;
        let Some((begin, end)) = end else { continue };
        from = begin;
        for byte in xmp[begin..].iter_mut().take_while(|byte| **byte != end) {
            found |= *byte != b' ';
            *byte = b' ';
            from += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EXIF with an orientation and a place, its latitude as three fractions behind the lists.
    fn exif() -> Vec<u8> {
        let mut tiff = b"MM\0*\0\0\0\x08".to_vec();
        tiff.extend(b"\0\x02"); // two entries
        tiff.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"); // orientation 6
        tiff.extend(b"\x88\x25\0\x04\0\0\0\x01\0\0\0\x26"); // the place lies at 38
        tiff.extend(b"\0\0\0\0"); // no next list
        tiff.extend(b"\0\x02");
        tiff.extend(b"\0\x01\0\x02\0\0\0\x02N\0\0\0"); // N
        tiff.extend(b"\0\x02\0\x05\0\0\0\x03\0\0\0\x44"); // at 68
        tiff.extend(b"\0\0\0\0");
        tiff.extend([0, 0, 0, 39, 0, 0, 0, 1, 0, 0, 0, 54, 0, 0, 0, 1, 0, 0, 0, 26, 0, 0, 0, 1]);
        tiff
    }

    #[test]
    fn the_place_goes_and_the_rest_of_exif_stays() {
        let mut file = [b"\xff\xd8\xff\xe1\0\xff".to_vec(), EXIF.to_vec(), exif(), vec![7; 20]].concat();
        let before = file.clone();
        assert!(blank(&mut file));
        assert_eq!(file.len(), before.len());
        let tiff = &file[6 + EXIF.len()..];
        assert_eq!(tiff[..38], exif()[..38], "the orientation stays");
        assert!(tiff[38..64].iter().chain(&tiff[68..92]).all(|byte| *byte == 0), "the place is blank");
        assert_eq!(tiff[92..], [7; 20], "and nothing behind it");
        assert!(!blank(&mut file), "a second look finds none");
    }

    #[test]
    fn an_avif_loses_the_place_too() {
        let head = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf";
        let mut file = [head.to_vec(), vec![9; 40], vec![0; 4], exif(), vec![7; 20]].concat();
        let begin = head.len() + 44;
        assert!(blank(&mut file));
        assert_eq!(file[begin..begin + 38], exif()[..38]);
        assert!(
            file[begin + 38..begin + 64].iter().chain(&file[begin + 68..begin + 92]).all(|byte| *byte == 0)
        );
        assert_eq!(file[begin + 92..], [7; 20]);
    }

    #[test]
    fn a_png_keeps_its_checksums() {
        let chunk = |name: &[u8], content: &[u8]| {
            let named = [name, content].concat();
            [&(content.len() as u32).to_be_bytes()[..], &named, &crc32(&named).to_be_bytes()].concat()
        };
        let xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta><a exif:GPSLatitude=\"39,54N\"/></x:xmpmeta>";
        let mut file =
            [PNG.to_vec(), chunk(b"eXIf", &exif()), chunk(b"iTXt", xmp), chunk(b"IEND", b"")].concat();
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert!(blank(&mut file));
        for name in [b"eXIf", b"iTXt", b"IEND"] {
            for (begin, length) in chunks(&file, PNG.len(), name, Order::Png) {
                let sum = crc32(&file[begin - 4..begin + length]).to_be_bytes();
                assert_eq!(file[begin + length..begin + length + 4], sum);
            }
        }
        assert!(first(&file, b"39,54N").is_none() && first(&file, b"exif:GPSLatitude=\"      \"").is_some());
    }

    #[test]
    fn xmp_loses_the_place_in_both_of_its_forms() {
        let xmp = "<x:xmpmeta><r exif:GPSLatitude='39,54.5N' exif:GPSLongitude = \"116\" dc:title=\"GPS\">\
                   <exif:GPSAltitude>44/1</exif:GPSAltitude></r></x:xmpmeta> :GPSx=\"kept\"";
        let mut file = xmp.as_bytes().to_vec();
        assert!(blank(&mut file));
        let left = String::from_utf8(file).unwrap();
        for gone in ["39,54", "116", "44/1"] {
            assert!(!left.contains(gone), "{left}");
        }
        assert!(left.contains("dc:title=\"GPS\"") && left.contains("kept"));
    }

    /// Each of these took hours: the time grew with the square of the size.
    #[test]
    fn looking_ends_soon_whatever_a_file_holds() {
        const SIZE: usize = 8 * 1024 * 1024;
        let fill = |pattern: &[u8]| pattern.iter().copied().cycle().take(SIZE).collect::<Vec<u8>>();
        let mut lists = [b"\xff\xd8\xff\xe1".to_vec(), EXIF.to_vec()].concat();
        lists.extend(b"MM\0*\0\0\0\x08\x07\xd0");
        for _ in 0..2_000 {
            lists.extend(b"\x88\x25\0\x04\0\0\0\x01\0\0\x60\0");
        }
        lists.extend(fill(b"\x07\xd0\0\x05\0\x0f\xff\xff\0\0\0\x08"));
        let inside = |text: &[u8]| [b"<x:xmpmeta>".to_vec(), fill(text), XMP_END.to_vec()].concat();
        for mut file in [
            [b"\xff\xd8\xff".to_vec(), fill(XMP_BEGIN)].concat(),
            inside(b":GPS>"),
            inside(b":GPS=  "),
            inside(b":GPSx"),
            fill(&[EXIF, b"MM\0*\0\0\0\x08\x07\xd0"].concat()),
            lists,
        ] {
            let length = file.len();
            blank(&mut file);
            assert_eq!(file.len(), length);
        }
    }

    #[test]
    fn broken_exif_is_no_failure() {
        let whole = [EXIF, &exif()].concat();
        for cut in 0..whole.len() {
            blank(&mut whole[..cut].to_vec());
        }
        for place in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = whole.clone();
                broken[place] = value;
                blank(&mut broken);
            }
        }
        assert!(!blank(&mut [PNG, b"\xff\xff\xff\xffeXIf"].concat()));
        assert!(!blank(&mut b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\x7f".to_vec()));
    }
}
