//! The corpus of framing cases.
//!
//! In a case `/c###` is the path of the request that is meant, `/s###` that of the one that is smuggled; `###` becomes the case's number.
//! `{a*5000}` stands for 5000 times `a`.

mod chunks;
mod codings;
mod ends;
mod lengths;
mod lines;

/// A case.
pub struct Case {
    pub name: &'static str,
    template: &'static [u8],
    pub expect: Expect,
}

/// What must come of a case.
#[derive(Clone, Copy)]
pub enum Expect {
    /// This answer, then the end of the connection. The backend sees nothing.
    Refuse(u16),
    /// 400 and the end of the connection: the head was good and may have gone on, but the backend sees no complete request.
    Abort,
    /// The backend sees these requests (`c` or `s`, and content), and the client an answer for each.
    Pass(&'static [(&'static str, &'static str)]),
    /// The same, and then this answer (0: none) and the end of the connection.
    PassThen(&'static [(&'static str, &'static str)], u16),
}

/// All cases.
pub fn cases() -> Vec<&'static Case> {
    [lengths::CASES, codings::CASES, chunks::CASES, lines::CASES, ends::CASES].into_iter().flatten().collect()
}

const fn case(name: &'static str, template: &'static [u8], expect: Expect) -> Case {
    Case { name, template, expect }
}

impl Case {
    /// What the client sends.
    pub fn bytes(&self, number: usize) -> Vec<u8> {
        let digits = format!("{number:03}").into_bytes();
        let (mut out, mut rest) = (Vec::new(), self.template);
        while let Some((first, tail)) = rest.split_first() {
            if rest.starts_with(b"###") {
                out.extend(&digits);
                rest = &rest[3..];
            } else if let [b'{', byte, b'*', ..] = rest {
                let end = rest.iter().position(|b| *b == b'}').expect("a brace");
                let count = str::from_utf8(&rest[3..end]).unwrap().parse().unwrap();
                out.extend(std::iter::repeat_n(*byte, count));
                rest = &rest[end + 1..];
            } else {
                out.push(*first);
                rest = tail;
            }
        }
        out
    }

    /// Path and content of what the backend must see.
    pub fn requests(&self, number: usize) -> Vec<(String, String)> {
        let (Expect::Pass(list) | Expect::PassThen(list, _)) = self.expect else { return Vec::new() };
        let digits = format!("{number:03}");
        list.iter().map(|(kind, body)| (format!("/{kind}{digits}"), body.replace("###", &digits))).collect()
    }
}
