//! PNG (ISO/IEC 15948) of two colours, for pictures made of squares: not compressed, so a few kilobytes, and no decoder or deflater in the house.

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Of a stored block (RFC 1951 3.2.4).
const STORED_BYTES_MAX: usize = 65_535;

/// A square of `size` by `size` pixels, black where `dark` says so, else white.
pub fn black_on_white(size: u32, dark: impl Fn(u32, u32) -> bool) -> Vec<u8> {
    let mut rows = Vec::new();
    for y in 0..size {
        // No filter; then eight pixels a byte, the leftmost in the highest bit, 1 is white.
        rows.push(0);
        for from in (0..size).step_by(8) {
            let white = |bit: u32| from + bit < size && !dark(from + bit, y);
            rows.push((0..8).fold(0, |byte, bit| byte << 1 | u8::from(white(bit))));
        }
    }
    let mut png = SIGNATURE.to_vec();
    let (depth, grey) = (1, 0);
    chunk(&mut png, b"IHDR", &[&size.to_be_bytes()[..], &size.to_be_bytes()[..], &[depth, grey, 0, 0, 0]].concat());
    chunk(&mut png, b"IDAT", &zlib(&rows));
    chunk(&mut png, b"IEND", b"");
    png
}

fn chunk(png: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let from = png.len();
    png.extend(name);
    png.extend(data);
    let sum = crc32(&png[from..]);
    png.extend(sum.to_be_bytes());
}

/// RFC 1950 around stored blocks.
fn zlib(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = data.chunks(STORED_BYTES_MAX).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(adler32(data).to_be_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !data.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Read it back, pixel by pixel: black?
    pub(crate) fn read(png: &[u8]) -> Vec<Vec<bool>> {
        let mut rest = png.strip_prefix(&SIGNATURE).expect("a signature");
        let (mut size, mut data) = (0, Vec::new());
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().expect("a length")) as usize;
            let (name, body) = (&rest[4..8], &rest[8..8 + length]);
            assert_eq!(rest[8 + length..12 + length], crc32(&rest[4..8 + length]).to_be_bytes());
            match name {
                b"IHDR" => {
                    size = u32::from_be_bytes(body[..4].try_into().expect("a width")) as usize;
                    assert_eq!(body[4..], [&(size as u32).to_be_bytes()[..], &[1, 0, 0, 0, 0]].concat());
                }
                b"IDAT" => data = body.to_vec(),
                _ => assert_eq!(name, b"IEND"),
            }
            rest = &rest[12 + length..];
        }
        let (mut rows, mut at) = (Vec::new(), 2);
        loop {
            let length = usize::from(u16::from_le_bytes([data[at + 1], data[at + 2]]));
            rows.extend(&data[at + 5..at + 5 + length]);
            let last = data[at] == 1;
            at += 5 + length;
            if last {
                break;
            }
        }
        assert_eq!(data[at..], adler32(&rows).to_be_bytes());
        let row = |row: &[u8]| (0..size).map(|x| row[1 + x / 8] >> (7 - x % 8) & 1 == 0).collect();
        rows.chunks(1 + size.div_ceil(8)).map(row).collect()
    }

    #[test]
    fn the_sums_are_those_of_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn what_is_drawn_can_be_read() {
        for size in [1, 8, 21, 900] {
            let dark = |x: u32, y: u32| (x * 7 + y * 3).is_multiple_of(5);
            let pixels = read(&black_on_white(size, dark));
            assert_eq!(pixels.len(), size as usize);
            for (y, row) in pixels.iter().enumerate() {
                assert_eq!(row.len(), size as usize);
                assert!(row.iter().enumerate().all(|(x, black)| *black == dark(x as u32, y as u32)), "row {y}");
            }
        }
    }
}
