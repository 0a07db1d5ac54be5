//! Where in an object something is.

use std::fmt;

/// The way from the root of an object to a value. Rendered only when there is something to say.
#[derive(Clone, Debug, Default)]
pub(super) struct Path<'a>(Vec<Segment<'a>>);

/// One step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Segment<'a> {
    /// Into a field of an object, or an entry of a map.
    Field(&'a str),
    /// Into an item of a list.
    Item(usize),
}

impl<'a> Path<'a> {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, segment: Segment<'a>) {
        self.0.push(segment);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// The path of something below.
    pub(super) fn join(&self, segment: Segment<'a>) -> Self {
        let mut longer = self.clone();
        longer.push(segment);
        longer
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Item(index) => write!(f, "[{index}]")?,
                Segment::Field(name) if !is_plain(name) => write!(f, "[{name:?}]")?,
                Segment::Field(name) if depth == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_json_path() {
        let mut path = Path::new();
        assert_eq!(path.to_string(), "");
        path.push(Segment::Field("spec"));
        path.push(Segment::Field("rules"));
        path.push(Segment::Item(2));
        assert_eq!(path.join(Segment::Field("a.b/c")).to_string(), "spec.rules[2][\"a.b/c\"]");
        path.pop();
        assert_eq!(path.to_string(), "spec.rules");
    }
}
