//! Lists that may be long (5.6, 5.7, 8.8.1, 8.9.1): all of it when that fits into one answer, or a page, and what is told of the rest.

use iris_core::Bounce;
use iris_core::xml::Build;

use super::service::Quotas;
use crate::xep0059_rsm as rsm;

/// A row beside its id: names of elements and attributes, quotes.
const ROW_SIZE_BYTES: usize = 128;

/// Into the element that is open, which is closed. `id`: of a row, for whoever asks for the page behind it.
pub fn write<R>(
    xml: &mut Build,
    rows: &[R],
    wanted: Option<&rsm::Wanted>,
    quotas: &Quotas,
    id: impl Fn(&R) -> String,
    row: impl Fn(&mut Build, &R),
) -> Result<(), Bounce> {
    let page = wanted.cloned().unwrap_or_default();
    let range = page.range(rows.len(), usize::MAX, |of| rows.iter().position(|row| id(row) == of))?;
    let size = |at: usize| rows.get(at).map_or(0, |row| id(row).len() + ROW_SIZE_BYTES);
    let range = page.fit(range, quotas.page_size_bytes_max, size);
    rows.get(range.clone()).unwrap_or_default().iter().for_each(|it| row(xml, it));
    xml.close();
    if wanted.is_some() || range.len() < rows.len() {
        rsm::Given::of(&range, rows.len(), |at| rows.get(at).map(&id).unwrap_or_default()).write(xml);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D3: whatever people call their resources, an answer is no larger than a session's queue takes, and says that there is more.
    #[test]
    fn d3_a_list_has_a_size() {
        let quotas = Quotas { page_size_bytes_max: 2_500, ..Quotas::NONE };
        let rows: Vec<String> = (0..5).map(|at| format!("juliet@house/{at}{}", "x".repeat(1_000))).collect();
        let mut xml = Build::new();
        xml.open("subscriptions");
        let row = |xml: &mut Build, row: &String| {
            xml.open("subscription").attr("jid", row).close();
        };
        write(&mut xml, &rows, None, &quotas, String::clone, row).expect("a page");
        let text = super::super::text(xml);
        assert_eq!(text.matches("<subscription ").count(), 2, "{text}");
        assert!(text.contains("</subscriptions><set ") && text.contains("<count>5</count>"), "{text}");
    }
}
