use super::*;
use crate::Timestamp;
use fairlead_http::RequestHead;

fn scratch(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("fairlead-telemetry-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn counted(registry: &Registry) -> (u64, u64) {
    let cells = registry.worker(0);
    (cells.at(0).log_records.value(), cells.at(0).log_dropped.value())
}

#[test]
fn every_record_of_every_worker_reaches_the_file() {
    let path = scratch("all");
    let registry = Registry::new(2);
    let writer = LogWriter::start(&LogTarget::File(path.clone()), registry.clone()).unwrap();
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let sink = writer.sink(AccessLog::text("%REQ(:PATH)%").unwrap(), worker);
            std::thread::spawn(move || {
                let mut request = RequestHead::new();
                for i in 0..5_000 {
                    request.set_path_and_query(format!("/{worker}/{i}/{}", "x".repeat(60)).as_bytes());
                    sink.write(&Record::new(Timestamp(0), &request));
                    request.clear();
                }
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    writer.close();
    let text = std::fs::read_to_string(&path).unwrap();
    for worker in 0..2 {
        let prefix = format!("/{worker}/");
        let numbers: Vec<usize> = text
            .lines()
            .filter_map(|l| l.strip_prefix(&prefix))
            .map(|l| l.split('/').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers, (0..5_000).collect::<Vec<_>>(), "all records in order");
    }
    assert_eq!(counted(&registry), (5_000, 0));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_flush_brings_out_what_there_is() {
    let path = scratch("flush");
    let writer = LogWriter::start(&LogTarget::File(path.clone()), Registry::new(1)).unwrap();
    let sink = writer.sink(AccessLog::text("hello").unwrap(), 0);
    let request = RequestHead::new();
    sink.write(&Record::new(Timestamp(0), &request));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    sink.flush();
    sink.flush();
    for _ in 0..400 {
        if std::fs::read_to_string(&path).unwrap() == "hello\n" {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello\n");

    let rotated = scratch("flush-rotated");
    std::fs::rename(&path, &rotated).unwrap();
    writer.reopen();
    sink.write(&Record::new(Timestamp(0), &request));
    drop(sink);
    writer.close();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello\n", "the new file");
    assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "hello\n", "the old file");
    std::fs::remove_file(path).unwrap();
    std::fs::remove_file(rotated).unwrap();
}

#[test]
fn a_writer_that_is_gone_costs_records_not_time() {
    let path = scratch("gone");
    let registry = Registry::new(1);
    let writer = LogWriter::start(&LogTarget::File(path.clone()), registry.clone()).unwrap();
    let sink = writer.sink(AccessLog::text("%REQ(:PATH)%").unwrap(), 0);
    writer.close();
    let mut request = RequestHead::new();
    request.set_path_and_query(&[b'a'; 1000]);
    for _ in 0..200 {
        sink.write(&Record::new(Timestamp(0), &request));
    }
    let (records, dropped) = counted(&registry);
    assert_eq!(records, 200);
    assert!(dropped > 100, "{dropped}");
    drop(sink);
    assert_eq!(counted(&registry), (200, 200));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_full_disk_is_counted() {
    let registry = Registry::new(1);
    let writer = LogWriter::start(&LogTarget::File("/dev/full".into()), registry.clone()).unwrap();
    let sink = writer.sink(AccessLog::default(), 0);
    sink.write(&Record::new(Timestamp(0), &RequestHead::new()));
    drop(sink);
    writer.close();
    let mut text = String::new();
    registry.encode(&mut text);
    assert!(text.contains("\nfairlead_access_log_write_errors_total 1\n"), "{text}");
}

#[test]
fn targets() {
    assert_eq!("-".parse(), Ok(LogTarget::Stdout));
    assert_eq!("off".parse(), Ok(LogTarget::None));
    assert_eq!("logs/a".parse(), Ok(LogTarget::File("logs/a".into())));
    let sink = LogWriter::start(&LogTarget::None, Registry::new(1)).unwrap().sink(AccessLog::default(), 0);
    assert!(!sink.enabled());
    let error = LogWriter::start(&LogTarget::File("no/such/dir/log".into()), Registry::new(1)).unwrap_err();
    assert!(error.to_string().contains("no/such/dir/log"), "{error}");
}

#[test]
fn sinks_move_to_their_worker() {
    fn is_send<T: Send>() {}
    is_send::<LogSink>();
    is_send::<AccessLog>();
    is_send::<LogWriter>();
}
