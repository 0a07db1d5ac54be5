//! Values of options that several commands take.

use anyhow::{Context as _, bail, ensure};
use fairlead_telemetry::{AccessLog, LogTarget};
use std::collections::BTreeMap;

/// `--port-map 80=8080`: a listener's port and the one that is taken instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// As the Gateway has it.
    pub from: u16,
    /// The socket's.
    pub to: u16,
}

/// Parses `80=8080`.
pub fn port_mapping(text: &str) -> Result<Mapping, String> {
    let (from, to) = text.split_once('=').ok_or("write LISTENER_PORT=PORT, for example 80=8080")?;
    let port = |text: &str| match text.trim().parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{text}` is not a port from 1 to 65535")),
    };
    Ok(Mapping { from: port(from)?, to: port(to)? })
}

/// All port mappings; no port twice on either side.
pub fn port_map(mappings: &[Mapping]) -> anyhow::Result<BTreeMap<u16, u16>> {
    let mut map = BTreeMap::new();
    for Mapping { from, to } in mappings {
        if map.insert(*from, *to).is_some() {
            bail!("--port-map maps port {from} twice");
        }
    }
    let mut taken: Vec<u16> = map.values().copied().collect();
    taken.sort_unstable();
    if let Some(pair) = taken.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("--port-map maps two ports to {}", pair[0]);
    }
    Ok(map)
}

/// What to write to get another port than one that can't be taken.
pub fn way_out(port: u16) -> String {
    let other = if port < 8_000 { port + 8_000 } else { port.checked_add(10_000).unwrap_or(8_080) };
    format!("`--port-map {port}={other}` takes another one instead")
}

/// Parses `30s`, `500ms`, `2m`, `0`.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    let parsed = || {
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..at].parse().ok()?;
        let ms = match &text[at..] {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "" if number == 0 => Some(1),
            _ => None,
        }?;
        Some(std::time::Duration::from_millis(number.checked_mul(ms)?))
    };
    parsed().ok_or_else(|| format!("`{text}` is not a duration such as 30s, 500ms or 2m"))
}

/// `--workers N`; one per core when it is not given.
pub fn workers(given: Option<u16>) -> anyhow::Result<usize> {
    match given {
        Some(workers) => Ok(usize::from(workers)),
        None => {
            let cores = std::thread::available_parallelism();
            Ok(cores.context("cannot find out the number of cores; give --workers")?.get())
        }
    }
}

/// `--access-log FORMAT`, and where it is written; `None` for `off`.
pub fn access_log(format: &str, target: LogTarget) -> anyhow::Result<Option<(AccessLog, LogTarget)>> {
    if format == "off" {
        return Ok(None);
    }
    let known = ["json", "text"].contains(&format) || format.contains('%');
    ensure!(
        known,
        "--access-log {format}: neither json, text or off, nor a line with operators such as %RESPONSE_CODE%"
    );
    let format = AccessLog::parse(format).with_context(|| format!("--access-log {format}"))?;
    Ok(Some((format, target)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ports_are_mapped_one_to_one() {
        let parsed = |texts: &[&str]| texts.iter().map(|text| port_mapping(text)).collect::<Result<Vec<_>, _>>();
        let mappings = parsed(&["80=8080", "443=8443"]).unwrap();
        assert_eq!(port_map(&mappings).unwrap(), [(80, 8080), (443, 8443)].into());
        for bad in ["80", "80=", "=80", "0=80", "80=70000", "a=b"] {
            assert!(port_mapping(bad).is_err(), "{bad}");
        }
        assert!(port_map(&parsed(&["80=1", "80=2"]).unwrap()).is_err());
        assert!(port_map(&parsed(&["80=1", "81=1"]).unwrap()).is_err());
        assert!(way_out(80).contains("80=8080") && way_out(443).contains("443=8443"));
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "30", "s", "-1s", "1.5s", "99999999999999999999s", "1d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
