//! QR codes (ISO/IEC 18004): as SVG for a page, as PNG for an app, as half blocks for a terminal.

use std::fmt::Write;

use qrcodegen::{QrCode, QrCodeEcc};

use crate::png;

/// The standard asks for four light modules around the symbol.
const QUIET_MODULES: i32 = 4;

/// A picture is at least this wide, where whole pixels a module allow it, and never wider than twice that.
pub const PICTURE_PIXELS: u32 = 240;

fn encode(text: &str) -> Option<QrCode> {
    QrCode::encode_text(text, QrCodeEcc::Medium).ok()
}

/// An `<svg>` element, dark on light whatever the page looks like. `label` is HTML already. `None`: the text is too long.
pub fn svg(text: &str, label: &str) -> Option<String> {
    let code = encode(text)?;
    let size = code.size() + 2 * QUIET_MODULES;
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let from = x;
            while code.get_module(x, y) {
                x += 1;
            }
            if x > from {
                let (left, top, length) = (from + QUIET_MODULES, y + QUIET_MODULES, x - from);
                // Writing to a String cannot fail.
                let _ = write!(path, "M{left} {top}h{length}v1h-{length}z");
            }
            x += 1;
        }
    }
    Some(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{size}\" height=\"{size}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>"
    ))
}

/// A picture for whoever shows neither.
pub fn picture(text: &str) -> Option<Vec<u8>> {
    let code = encode(text)?;
    let modules = code.size() + 2 * QUIET_MODULES;
    let pixels = PICTURE_PIXELS.div_ceil(modules as u32);
    let at = |pixel: u32| (pixel / pixels) as i32 - QUIET_MODULES;
    Some(png::black_on_white(modules as u32 * pixels, |x, y| code.get_module(at(x), at(y))))
}

/// Two modules a character, above each other. Light modules are written as blocks: terminals are dark, most of them, and
/// readers that know no inverted codes are few where a terminal is light.
pub fn terminal(text: &str) -> Option<String> {
    let code = encode(text)?;
    let light = |x: i32, y: i32| !code.get_module(x - QUIET_MODULES, y - QUIET_MODULES);
    let size = code.size() + 2 * QUIET_MODULES;
    let mut out = String::new();
    for y in (0..size).step_by(2) {
        for x in 0..size {
            out.push(match (light(x, y), y + 1 < size && light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://example.org:5443/invite/abcdefghijklmnopqrstuvwxyz";

    /// What is drawn is drawn back into modules and compared with the code.
    #[test]
    fn a_terminal_shows_every_module() {
        let code = encode(LINK).expect("it fits");
        let text = terminal(LINK).expect("it fits");
        let lines: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
        let size = code.size() + 2 * QUIET_MODULES;
        for y in 0..size {
            for x in 0..size {
                let c = lines[y as usize / 2][x as usize];
                let light = if y % 2 == 0 { matches!(c, '█' | '▀') } else { matches!(c, '█' | '▄') };
                assert_eq!(light, !code.get_module(x - QUIET_MODULES, y - QUIET_MODULES), "{x} {y}");
            }
        }
    }

    #[test]
    fn a_page_shows_every_module() {
        let code = encode(LINK).expect("it fits");
        let svg = svg(LINK, "the link").expect("it fits");
        let path = svg.split_once(" d=\"").and_then(|(_, rest)| rest.split_once('"')).expect("a path").0;
        let mut dark = std::collections::HashSet::new();
        for run in path.split('M').filter(|run| !run.is_empty()) {
            let (x, rest) = run.split_once(' ').expect("x");
            let (y, rest) = rest.split_once('h').expect("y");
            let (length, rest) = rest.split_once('v').expect("length");
            assert_eq!(rest, format!("1h-{length}z"), "a run is a rectangle");
            let number = |text: &str| text.parse::<i32>().expect("a number");
            dark.extend((0..number(length)).map(|i| (number(x) + i - QUIET_MODULES, number(y) - QUIET_MODULES)));
        }
        let all = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
        for (x, y) in all {
            assert_eq!(dark.contains(&(x, y)), code.get_module(x, y), "{x} {y}");
        }
    }

    #[test]
    fn a_picture_shows_every_module() {
        let code = encode(LINK).expect("it fits");
        let pixels = png::tests::read(&picture(LINK).expect("it fits"));
        let a_module = pixels.len() / (code.size() + 2 * QUIET_MODULES) as usize;
        assert!((PICTURE_PIXELS as usize..2 * PICTURE_PIXELS as usize).contains(&pixels.len()));
        for (y, row) in pixels.iter().enumerate() {
            for (x, black) in row.iter().enumerate() {
                let at = |pixel: usize| (pixel / a_module) as i32 - QUIET_MODULES;
                assert_eq!(*black, code.get_module(at(x), at(y)), "{x} {y}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        assert!(svg(&"x".repeat(5_000), "").is_none() && terminal(&"x".repeat(5_000)).is_none());
        assert!(picture(&"x".repeat(5_000)).is_none());
    }
}
