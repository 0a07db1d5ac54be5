use super::*;
use crate::{AccessLog, Record, Timestamp};
use fairlead_http::RequestHead;

/// Each moment is as many microseconds after the first as its place in the list says; two never came.
struct Day(Instant);

impl Timeline for Day {
    fn at(&self, moment: Moment) -> Option<Instant> {
        let place = NAMES.iter().position(|(_, known)| *known == moment)?;
        let came = !matches!(moment, Moment::HandshakeEnd | Moment::AnswerBodyBegin);
        came.then(|| self.0 + Duration::from_micros(1_001) * place as u32)
    }
}

fn measured(operator: &str, timeline: Option<&dyn Timeline>) -> String {
    let request = RequestHead::new();
    let record = Record { timeline, ..Record::new(Timestamp(0), &request) };
    let mut out = Vec::new();
    AccessLog::json(&[("t", operator)]).unwrap().write(&record, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn time_between_two_points() {
    let day = Day(Instant::now());
    for (operator, expected) in [
        ("%COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)%", "1001"),
        ("%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ms)%", "1"),
        ("%COMMON_DURATION(DS_RX_BEG:DS_RX_END:ns)%", "1001000"),
        ("%COMMON_DURATION(DS_CX_BEG:DS_TX_END:us)%", "13013"),
        ("%COMMON_DURATION(US_TX_BEG:US_TX_BEG:us)%", "0"),
        ("%REQUEST_TX_DURATION%", "6"),
        // Not at all, and the wrong way round.
        ("%COMMON_DURATION(US_CX_END:US_HS_END:us)%", "null"),
        ("%COMMON_DURATION(US_RX_BODY_BEG:US_RX_END:us)%", "null"),
        ("%COMMON_DURATION(DS_RX_END:DS_RX_BEG:us)%", "null"),
    ] {
        assert_eq!(measured(operator, Some(&day)), format!("{{\"t\":{expected}}}\n"), "{operator}");
        assert_eq!(measured(operator, None), "{\"t\":null}\n", "{operator}");
    }
}

#[test]
fn every_point_has_a_name_of_its_own() {
    for (place, (name, moment)) in NAMES.iter().enumerate() {
        assert_eq!(Moment::of(name), Some(*moment));
        assert!(NAMES[..place].iter().all(|(other, known)| other != name && known != moment), "{name}");
    }
}
