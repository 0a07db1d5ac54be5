//! Text tables: columns as wide as their widest cell, two spaces apart.

/// Renders a header and rows; each row has as many cells as the header.
pub(crate) fn render<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    line(&header, &widths, &mut out);
    for row in rows {
        line(row, &widths, &mut out);
    }
    out
}

fn line(cells: &[impl AsRef<str>], widths: &[usize], out: &mut String) {
    let last = cells.len().saturating_sub(1);
    for (i, (cell, &width)) in cells.iter().zip(widths).enumerate() {
        let cell = cell.as_ref();
        out.push_str(cell);
        if i < last {
            out.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    #[test]
    fn aligns() {
        let rows = [["é".into(), "b".into()], ["long".into(), String::new()]];
        assert_eq!(super::render(["A", "B"], &rows), "A     B\né     b\nlong\n");
        assert_eq!(super::render(["A"], &[]), "A\n");
    }
}
