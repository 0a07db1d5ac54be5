//! Links of Markdown files.

/// Where a link leads, and the line it stands on, counted from 1. Links to other hosts and those in code are left out.
pub fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(markdown) {
        let line = without_code(line);
        let mut rest = line.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let end = rest.find([')', ' ']).unwrap_or(rest.len());
            links.push((number, rest[..end].to_string()));
        }
        if let Some((_, target)) = line.trim_start().strip_prefix('[').and_then(|l| l.split_once("]: ")) {
            links.push((number, target.split(' ').next().unwrap_or_default().to_string()));
        }
    }
    links.retain(|(_, target)| !target.contains("://") && !target.starts_with("mailto:"));
    links
}

/// The anchors of a file, as GitHub makes them of headings.
pub fn anchors(markdown: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in prose(markdown) {
        let text = line.trim_start_matches('#');
        if text.len() == line.len() || !text.starts_with(' ') {
            continue;
        }
        let slug: String = text.trim().to_lowercase().chars().filter_map(slug_char).collect();
        let again = anchors.iter().filter(|a| **a == slug || a.strip_prefix(&slug).is_some_and(is_number)).count();
        anchors.push(if again == 0 { slug } else { format!("{slug}-{again}") });
    }
    anchors
}

fn slug_char(c: char) -> Option<char> {
    match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    }
}

/// `-1`, `-2` …
fn is_number(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Lines outside of fenced code.
fn prose(markdown: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence = None;
    markdown.lines().enumerate().filter_map(move |(i, line)| {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => return Some((i + 1, line)),
            _ => {}
        }
        None
    })
}

/// A line without what stands between backticks.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_in_prose() {
        let text = "# T\n[a](b.md#c \"t\") and ![i](i.png), `[x](no)`\n```\n[y](no)\n```\n[r]: ref.md\n[w](https://example.com)\n";
        assert_eq!(links(text), [(2, "b.md#c".into()), (2, "i.png".into()), (6, "ref.md".into())]);
    }

    #[test]
    fn makes_anchors_as_github() {
        let text = "# The `serve` command: a tour\n## Same\n## Same\n### a_b-c\n#no\n```\n# code\n```\n";
        assert_eq!(anchors(text), ["the-serve-command-a-tour", "same", "same-1", "a_b-c"]);
    }
}
