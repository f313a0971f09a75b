//! Parts of a file (RFC 9110 14): one part at a time. Of several at once all is sent, which a server may do (14.2), so a thousand
//! ranges cost what none costs.

/// What is asked for of something of `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Whole,
    /// From, and how many.
    Some {
        first: u64,
        bytes: u64,
    },
    /// None of it is there (416).
    Nothing,
}

/// A header `Range`; what is none asks for everything (RFC 9110 14.2).
pub fn part(range: &str, size: u64) -> Part {
    let Some((unit, set)) = range.trim().split_once('=') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Part::Whole };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        // Beyond 64 bits is beyond any file.
        true => Some(text.parse().unwrap_or(u64::MAX)),
        false => None,
    };
    match (number(first), number(last)) {
        (Some(first), _) if first >= size && (last.is_empty() || number(last).is_some_and(|last| last >= first)) => {
            Part::Nothing
        }
        (Some(first), None) if last.is_empty() => Part::Some { first, bytes: size - first },
        (Some(first), Some(last)) if last >= first => Part::Some { first, bytes: last.min(size - 1) - first + 1 },
        (None, Some(0)) if first.is_empty() => Part::Nothing,
        (None, Some(tail)) if first.is_empty() && size > 0 => {
            let bytes = tail.min(size);
            Part::Some { first: size - bytes, bytes }
        }
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_s14_1_2_the_examples_of_the_text() {
        let some = |first, bytes| Part::Some { first, bytes };
        for (range, of) in [
            ("bytes=0-499", some(0, 500)),
            ("bytes=500-999", some(500, 500)),
            ("bytes=-500", some(9_500, 500)),
            ("bytes=9500-", some(9_500, 500)),
            ("bytes=0-0", some(0, 1)),
            ("BYTES = 0 - 0", some(0, 1)),
            ("bytes=9999-", some(9_999, 1)),
            ("bytes=9000-99999999999999999999999999", some(9_000, 1_000)),
            ("bytes=-99999999999999999999999999", some(0, 10_000)),
            ("bytes=10000-", Part::Nothing),
            ("bytes=10000-10001", Part::Nothing),
            ("bytes=99999999999999999999999999-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
        ] {
            assert_eq!(part(range, 10_000), of, "{range}");
        }
    }

    #[test]
    fn d5_what_is_no_single_range_asks_for_everything() {
        let many = format!("bytes={}", "0-0,".repeat(1_000));
        for range in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,2-3",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=1--2",
            &many,
        ] {
            assert_eq!(part(range, 10_000), Part::Whole, "{range}");
        }
        assert_eq!(part("bytes=0-0", 0), Part::Nothing);
        assert_eq!(part("bytes=-5", 0), Part::Whole);
    }
}
